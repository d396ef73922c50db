import type { Command } from '../../cli/command.ts';
import { usageError } from '../../cli/input.ts';
import { forgetMesh, readGenesis, readKnownMesh, rememberMesh } from '../../trust/known-mesh.ts';

export const trust: Command = {
	name: 'mesh trust',
	summary: 'choose the mesh that beectl talks to',
	usage: ['mesh trust', 'mesh trust FILE', 'mesh trust --reset'],
	options: { reset: { type: 'boolean', help: 'forget it; the next one that is met is taken on trust' } },
	notes:
		'The first mesh that beectl meets is remembered next to the owner key, and no other is accepted afterwards: replicas are\nadmitted on the word of its machines. FILE is an invitation (`beectl mesh invite`) of the mesh to accept instead. Without\nany, prints the one that is known. --mesh-genesis names one for a single command.',
	examples: [
		['mesh trust', 'print the mesh that is known'],
		['mesh trust home.invite', 'accept the mesh of this invitation and no other'],
	],
	async run(input, cli) {
		const [path, ...rest] = input.positionals;
		if (rest.length > 0) throw usageError(`unexpected "${rest[0]}"; name one invitation`);
		const { knownMesh } = cli.files;
		if (input.flag('reset')) {
			if (path !== undefined) throw usageError('name a file, or say --reset, not both');
			await forgetMesh(knownMesh);
			cli.err.write('no mesh is known any more; the next one that is met is taken on trust\n');
			return;
		}
		if (path === undefined) {
			const mesh = await readKnownMesh(knownMesh);
			if (mesh === undefined) cli.err.write('no mesh is known yet; the first one that is met is taken on trust\n');
			else cli.out.write(`${mesh.cid} ${mesh.body.name}\n`);
			return;
		}
		const mesh = await readGenesis(path);
		await rememberMesh(knownMesh, mesh);
		cli.out.write(`${mesh.cid} ${mesh.body.name}\n`);
		cli.err.write(`only the mesh "${mesh.body.name}" is accepted from now on\n`);
	},
};
