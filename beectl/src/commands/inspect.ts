import { cidSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import type { Cli, Command } from '../cli/command.ts';
import { EXIT, Failure } from '../cli/exit.ts';
import { usageError } from '../cli/input.ts';
import { readBytes } from '../cli/read-bytes.ts';
import { dataOf, type Finding, isBroken, textOf } from '../inspect/finding.ts';
import { inspectBytes } from '../inspect/inspect.ts';
import { knownMeshes, recordOf } from '../inspect/known-records.ts';
import { outputOf, printData } from '../output/print.ts';

export const inspect: Command = {
	name: 'inspect',
	summary: 'say what a record or a file of Beemesh is, and whether its signature holds',
	usage: ['inspect FILE|CID|- [-o json|yaml]'],
	options: { output: { type: 'string', short: 'o', value: 'FORMAT', help: 'json or yaml' } },
	notes:
		'Reads signed records (raw, base64, or armoured), machine credentials, invitations, requests, sealed bundles, owner keys\nand mesh files; needs no passphrase and no host. Records of a mesh are checked under its genesis: that of the mesh file, of\nthe mesh met before, or of --mesh-genesis. A CID is looked up among those three and the owner key. Ends with 1 when a\nsignature does not hold; one that cannot be checked here is said to be so.',
	examples: [
		['inspect bee-1.request', 'who asks to be enrolled'],
		['inspect home.invite -o json', 'for programs'],
		['inspect - < record.cbor', 'from a pipe'],
	],
	async run(input, cli) {
		const [word, ...rest] = input.positionals;
		if (word === undefined || rest.length > 0) throw usageError('name one file, one CID, or - for standard input');
		const output = outputOf(input.text('output'));
		if (output === 'wide' || output === 'name') throw usageError(`-o: "${output}" is not one of json, yaml`);
		const finding = await find(word, cli);
		if (output === 'table') cli.out.write(textOf(finding));
		else printData(cli.out, output, dataOf(finding));
		if (isBroken(finding)) throw new Failure(EXIT.failed, 'a signature does not hold: nobody should act on this');
	},
};

async function find(word: string, cli: Cli): Promise<Finding> {
	const context = { meshes: await knownMeshes(cli.files), nowMs: cli.nowMs() };
	if (!v.is(cidSchema, word)) {
		const name = word === '-' ? 'standard input' : word;
		return inspectBytes(await readBytes(word, cli.stdin), name, context);
	}
	const record = await recordOf(word, cli.files);
	if (record === undefined) {
		throw new Failure(
			EXIT.notFound,
			`no record ${word} is kept here; hosts do not look records up by CID either\n  Give the record itself as a file, or - for standard input`,
		);
	}
	return inspectBytes(record.envelope, word, context);
}
