import { createKeyPair, createKeyring, createMesh } from '@beemesh/sdk/identity';
import { nameSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import type { Command } from '../../cli/command.ts';
import { usageError } from '../../cli/input.ts';
import { nextEpoch } from '../../mesh/epochs.ts';
import { createMeshFile } from '../../mesh/mesh-file.ts';
import { NO_PASSPHRASE, noMore } from '../options.ts';

export const init: Command = {
	name: 'mesh init',
	summary: 'make a mesh: its root key and its first secrets',
	usage: ['mesh init --name NAME [--mesh FILE] [--no-passphrase]'],
	options: {
		name: { type: 'string', value: 'NAME', help: 'what people call it: lower-case letters, digits and dashes' },
		...NO_PASSPHRASE,
	},
	notes: 'Prints the ID of the mesh. Two meshes may have one name, never one ID.',
	examples: [
		['mesh init --name home', 'make ~/.config/beemesh/mesh.json, asking for a passphrase'],
		['mesh init --name lab --mesh lab.json --passphrase-file p.txt', 'without being asked'],
	],
	async run(input, cli) {
		noMore(input);
		const name = input.text('name');
		if (name === undefined) throw usageError('name the mesh with --name NAME');
		if (!v.is(nameSchema, name))
			throw usageError(`--name: "${name}" is not of lower-case letters, digits and dashes, 63 at most`);
		const file = cli.files.mesh;
		const what = `the mesh file ${file}`;
		const passphrase = input.flag('no-passphrase') ? undefined : await cli.passphrases.forNew(what);
		const nowMs = cli.nowMs();
		const root = createKeyPair();
		const mesh = createMesh(name, root, nowMs);
		const keyring = createKeyring();
		const epoch = nextEpoch(mesh, undefined, { revoked: [], keyring }, root, nowMs);
		const ledger = { nextSerial: 1, machines: [] };
		// The first epoch comes with every bundle: there is nothing to deliver.
		const contents = {
			mesh,
			epoch,
			deliveredSeq: epoch.body.seq,
			join: [],
			ledger,
			root,
			keyrings: [keyring] as const,
		};
		await createMeshFile(file, contents, passphrase);
		cli.out.write(`${mesh.cid}\n`);
		cli.err.write(
			`mesh "${name}" made in ${file}; keep a copy in a safe place, away from the machines of the mesh\n` +
				'next: `hostd request` on each machine, then `beectl mesh enroll` here\n',
		);
	},
};
