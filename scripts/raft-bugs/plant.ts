/** Loaded before anything else (`--import`): changes one source file of the SDK as the bug that `BEEMESH_BUG` names. */
import { registerHooks } from 'node:module';
import { BUGS } from './bugs.ts';

const bug = BUGS.find(({ name }) => name === process.env['BEEMESH_BUG']);
if (bug === undefined) throw new Error(`no bug is called '${process.env['BEEMESH_BUG']}'`);
const { file, from, to } = bug;
const target = new URL(`../../sdk/src/raft/${file}`, import.meta.url).href;

registerHooks({
	load(url, context, next) {
		const loaded = next(url, context);
		if (url !== target) return loaded;
		const source = Buffer.from(loaded.source as Uint8Array).toString();
		if (source.split(from).length !== 2) throw new Error(`the source of '${bug.name}' is not in ${file} exactly once`);
		return { ...loaded, source: source.replace(from, () => to) };
	},
});
