import { ownerIdOf } from '@beemesh/sdk/identity';
import type { Command } from '../cli/command.ts';
import { usageError } from '../cli/input.ts';
import { createOwnerKey } from '../owner/key-file.ts';

export const owner: Command = {
	name: 'owner',
	summary: 'make or show the key that owns workloads',
	usage: ['owner create [--owner FILE]', 'owner show [--owner FILE]'],
	options: {},
	notes:
		'Whoever has this file can change and delete what it owns; it never goes to a host. Keep a copy: without it, running\nworkloads heal, but nobody can change them.',
	examples: [
		['owner create', 'make ~/.config/beemesh/owner.key'],
		['owner show', 'print the ID that hosts know this owner by'],
	],
	async run({ positionals }, cli) {
		const [verb, ...rest] = positionals;
		if (rest.length > 0) throw usageError(`unexpected "${rest[0]}"`);
		if (verb === 'create') {
			const key = await createOwnerKey(cli.ownerFile);
			cli.out.write(`${ownerIdOf(key.publicKey)}\n`);
			cli.err.write(`owner key written to ${cli.ownerFile}; keep a copy in a safe place\n`);
		} else if (verb === 'show') {
			cli.out.write(`${ownerIdOf((await cli.owner()).publicKey)}\n`);
		} else {
			throw usageError(verb === undefined ? 'say create or show' : `there is no "owner ${verb}"; say create or show`);
		}
	},
};
