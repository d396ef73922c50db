/**
 * A host in a process of its own, so that a test can kill it as an operator's mistake would. Prints its address, then
 * `hosts <count>` whenever that changes and `tender <text>` for each that it hears. With `--wait` it is loaded, and
 * starts with the first byte of its input.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { startHost } from './host.ts';

const { values } = parseArgs({
	options: {
		name: { type: 'string', default: 'child' },
		join: { type: 'string', multiple: true, default: [] },
		/** Hex: of a host that comes back. */
		seed: { type: 'string' },
		port: { type: 'string' },
		wait: { type: 'boolean', default: false },
	},
});
const { name, join, seed, port } = values;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (values.wait) {
	say('waiting');
	await once(process.stdin, 'data');
}
const { node } = await startHost({
	name,
	join,
	...(seed === undefined ? {} : { seed: Buffer.from(seed, 'hex') }),
	...(port === undefined ? {} : { port: Number(port) }),
});
node.onTender('root', (data) => {
	say(`tender ${new TextDecoder().decode(data)}`);
	return 'accept';
});
say(node.addresses()[0] as string);
node.onHosts(() => say(`hosts ${node.hosts().length}`));
// Its timers do not keep a process alive; this does.
process.stdin.resume();
