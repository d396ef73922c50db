/** `beectl owner …`: the key that owns workloads. */
import { encodeArmor, ownerIdOf } from '@beemesh/sdk/identity';
import type { Command, CommandGroup } from '../cli/command.ts';
import { fileIn, writeArmored } from '../output/out-file.ts';
import { createOwnerKey, readOwnerRoot } from '../owner/key-file.ts';
import { NO_PASSPHRASE, noMore } from './options.ts';

const create: Command = {
	name: 'owner create',
	summary: 'make the keys of a new owner',
	usage: ['owner create [--owner FILE] [--no-passphrase]'],
	options: NO_PASSPHRASE,
	notes: 'Prints the ID of the owner. A key that exists is never replaced.',
	examples: [
		['owner create', 'make ~/.config/beemesh/owner.key, asking for a passphrase'],
		['owner create --owner ci.key --passphrase-file p.txt', 'without being asked'],
	],
	async run(input, cli) {
		noMore(input);
		const file = cli.files.owner;
		const what = `the owner key ${file}`;
		const passphrase = input.flag('no-passphrase') ? undefined : await cli.passphrases.forNew(what);
		const { signer } = await createOwnerKey(file, passphrase, cli.nowMs());
		cli.out.write(`${ownerIdOf(signer.publicKey)}\n`);
		cli.err.write(`owner key written to ${file}; keep a copy in a safe place\n`);
	},
};

const show: Command = {
	name: 'owner show',
	summary: 'print the ID that hosts know the owner by',
	usage: ['owner show [--owner FILE]'],
	options: {},
	notes: 'Needs no passphrase.',
	examples: [['owner show', 'print it']],
	async run(input, cli) {
		noMore(input);
		cli.out.write(`${(await readOwnerRoot(cli.files.owner)).body.owner}\n`);
	},
};

const exportRoot: Command = {
	name: 'owner export',
	summary: "print the owner's public record, for others to know the owner by",
	usage: ['owner export [-o FILE] [--owner FILE]'],
	options: { output: { type: 'string', short: 'o', value: 'FILE', help: 'file or folder [default: standard output]' } },
	notes: 'Holds no secret; needs no passphrase.',
	examples: [
		['owner export', 'print it, to be pasted'],
		['owner export -o alice.owner', 'into a file'],
	],
	async run(input, cli) {
		noMore(input);
		const { envelope, body } = await readOwnerRoot(cli.files.owner);
		const output = input.text('output');
		const path = output === undefined ? undefined : await fileIn(output, 'beemesh.owner');
		const place = await writeArmored(cli.out, path, 'OWNER', encodeArmor('OWNER', envelope));
		if (place !== 'standard output') cli.err.write(`public record of the owner ${body.owner} written to ${place}\n`);
	},
};

export const owner: CommandGroup = {
	name: 'owner',
	summary: 'make or show the key that owns workloads',
	notes:
		'Whoever has this file and its passphrase can change and delete what it owns; it never goes to a host. Keep a copy:\nwithout it, running workloads heal, but nobody can change them.',
	commands: [create, show, exportRoot],
	examples: [
		['owner create', 'make ~/.config/beemesh/owner.key'],
		['owner show', 'print the ID that hosts know this owner by'],
	],
};
