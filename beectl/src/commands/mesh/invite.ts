import { encodeInvite, joinAddressSchema } from '@beemesh/sdk/identity';
import * as v from 'valibot';
import type { Command } from '../../cli/command.ts';
import { type Input, type OptionSpecs, usageError } from '../../cli/input.ts';
import { readMeshFile } from '../../mesh/mesh-file.ts';
import { fileIn, writeArmored } from '../../output/out-file.ts';
import { noMore } from '../options.ts';

export const JOIN: OptionSpecs = {
	join: {
		type: 'string',
		multiple: true,
		value: 'ADDR',
		help: 'where a host of the mesh is, ending in /p2p/<machine ID>; repeatable',
	},
};

export const invite: Command = {
	name: 'mesh invite',
	summary: 'print what others know the mesh by',
	usage: ['mesh invite [-o FILE] [--join ADDR]... [--mesh FILE]'],
	options: {
		...JOIN,
		output: { type: 'string', short: 'o', value: 'FILE', help: 'file or folder [default: standard output]' },
	},
	notes:
		'An invitation is public and lets nobody in: machines take it to refuse bundles of any other mesh (`hostd request\n--invite`), owners to refuse hosts of any other (`--mesh-genesis`). Send it over a way that you trust.',
	examples: [
		['mesh invite', 'print it, to be pasted'],
		[
			'mesh invite -o home.invite --join /ip4/192.0.2.7/udp/4700/quic-v1/p2p/12D3KooW…',
			'into a file, with the address of a host',
		],
	],
	async run(input, cli) {
		noMore(input);
		const added = joinOf(input);
		const { mesh, join } = await readMeshFile(cli.files.mesh);
		const text = encodeInvite({ mesh, join: [...new Set([...join, ...added])] });
		const output = input.text('output');
		const path = output === undefined ? undefined : await fileIn(output, `${mesh.body.name}.invite`);
		const place = await writeArmored(cli.out, path, 'INVITE', text);
		if (place !== 'standard output')
			cli.err.write(`invitation to the mesh "${mesh.body.name}" (${mesh.cid}) written to ${place}\n`);
	},
};

export function joinOf(input: Input): readonly string[] {
	return input.texts('join').map((address) => {
		const parsed = v.safeParse(joinAddressSchema, address);
		if (!parsed.success) throw usageError(`--join: "${address}": ${parsed.issues[0].message}`);
		return address;
	});
}
