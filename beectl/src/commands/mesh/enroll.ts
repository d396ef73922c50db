import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { decodeArmor, encodeArmor, type OpenedRecord, openEnrolmentRequest } from '@beemesh/sdk/identity';
import { labelsSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import type { Cli, Command } from '../../cli/command.ts';
import { type Input, usageError } from '../../cli/input.ts';
import { readBytes } from '../../cli/read-bytes.ts';
import { type EnrolmentTerms, enrollMachine } from '../../mesh/enroll.ts';
import { changeMeshFile, readMeshFile } from '../../mesh/mesh-file.ts';
import { labelText } from '../../output/columns.ts';
import { fields } from '../../output/fields.ts';
import { when } from '../../output/human.ts';
import { fileIn, isFolder, writeArmored } from '../../output/out-file.ts';
import { paint } from '../../output/terminal.ts';
import { JOIN, joinOf } from './invite.ts';

const DAYS_MAX = 30;

export const enroll: Command = {
	name: 'mesh enroll',
	summary: 'let machines in: certify their requests and seal a bundle for each',
	usage: ['mesh enroll REQUEST... [-o FILE|FOLDER] [options]'],
	options: {
		output: {
			type: 'string',
			short: 'o',
			value: 'PATH',
			help: 'file, or folder for NAME.bundle; - is standard output [default for one request: -]',
		},
		label: { type: 'string', multiple: true, value: 'K=V', help: 'a label that you vouch for; repeatable' },
		'accept-labels': { type: 'boolean', help: 'vouch for the labels that the machine asks for, too' },
		renews: { type: 'boolean', help: 'it may renew the certificates of other machines' },
		days: { type: 'string', value: 'N', help: `how long its first certificate holds [default: ${DAYS_MAX}, the most]` },
		...JOIN,
		again: { type: 'boolean', help: 'take back a machine that was revoked' },
	},
	notes:
		'A request is what `hostd request` prints on the machine; - reads it from standard input. The bundle can be opened by\nthat machine alone, so it may travel as you like. Check that the machine ID shown is the one that the machine printed.\nA machine is enrolled under the name in its request (`hostd request --name`), and goes by it unless hostd is told another.\nLabels that a machine asks for are not certified unless you accept them: workloads choose their hosts by labels.\nAddresses given with --join are remembered for the machines that follow. A mesh of more than one machine needs some that\nrenew (--renews): without one, each has to be enrolled again before its certificate ends.',
	examples: [
		['mesh enroll bee-1.request -o bee-1.bundle --renews', 'the first machine, which renews those to come'],
		['mesh enroll *.request -o bundles/ --label zone=cellar', 'several at once'],
		['mesh enroll - < bee-2.request > bee-2.bundle', 'over a pipe'],
	],
	async run(input, cli) {
		const terms = termsOf(input);
		const output = input.text('output');
		const paths = input.positionals;
		if (paths.length === 0) throw usageError('name the request of a machine, or - for standard input');
		if (paths.length > 1 && (output === undefined || !(await isFolder(output))))
			throw usageError('name a folder for several bundles with -o FOLDER/');
		// All of them before anything is changed.
		const requests: OpenedRecord<'machine-csr'>[] = [];
		for (const path of paths) requests.push(await requestIn(path, cli));
		if (new Set(requests.map(({ body }) => body.name)).size < requests.length)
			throw usageError('two of these machines have one name, and their bundles would too; enroll them one by one');
		await readMeshFile(cli.files.mesh);
		for (const request of requests) cli.err.write(shown(request, terms, cli.nowMs()));
		const bundles: Uint8Array[] = [];
		const saved = await changeMeshFile(cli.files.mesh, cli.passphrases, (current) => {
			let next = current;
			for (const request of requests) {
				noteNamesake(current.ledger.machines, request, cli);
				const enrolled = enrollMachine(next, request, terms, cli.nowMs());
				next = enrolled.next;
				bundles.push(enrolled.bundle);
			}
			return next;
		});
		for (const [i, { body }] of requests.entries()) {
			const path = output === undefined ? undefined : await fileIn(output, `${body.name}.bundle`);
			const place = await writeArmored(cli.out, path, 'BUNDLE', encodeArmor('BUNDLE', bundles[i] ?? new Uint8Array()));
			cli.err.write(`${body.name} enrolled in the mesh "${saved.mesh.body.name}"; bundle written to ${place}\n`);
		}
		if (saved.deliveredSeq < saved.epoch.body.seq)
			cli.err.write(`note: epoch ${saved.epoch.body.seq} is not delivered yet; run \`beectl mesh publish\`\n`);
	},
};

async function requestIn(path: string, cli: Cli): Promise<OpenedRecord<'machine-csr'>> {
	const text = Buffer.from(await readBytes(path, cli.stdin)).toString('utf8');
	try {
		return openEnrolmentRequest(decodeArmor('REQUEST', text));
	} catch (cause) {
		if (!isMeshError(cause)) throw cause;
		const name = path === '-' ? 'standard input' : path;
		throw new MeshError(cause.code, `${name} is no request as \`hostd request\` prints it: ${cause.message}`, {
			cause,
		});
	}
}

function shown({ body }: OpenedRecord<'machine-csr'>, terms: EnrolmentTerms, nowMs: number): string {
	const asked = labelText(body.labels);
	const unvouched = asked === '' || terms.acceptLabels ? asked : `${asked} (not certified; --accept-labels does)`;
	return fields([
		['Machine', body.name],
		['Machine ID', body.machineId],
		['Asked', when(body.ts, nowMs)],
		['Asks for labels', unvouched],
		['You give labels', labelText(terms.labels)],
		['Renews others', terms.renews ? 'yes' : 'no'],
	]);
}

/** A machine that was set up anew has a new ID under its old name: then the old one is still in. */
function noteNamesake(
	machines: readonly { readonly name: string; readonly machineId: string; readonly revokedMs?: number | undefined }[],
	{ body }: OpenedRecord<'machine-csr'>,
	cli: Cli,
): void {
	const other = machines.find(
		({ name, machineId, revokedMs }) => name === body.name && machineId !== body.machineId && revokedMs === undefined,
	);
	if (other === undefined) return;
	cli.err.write(
		`${paint(cli.err, 'yellow', 'warning')}: another machine named ${body.name} is enrolled; if this one replaces it, run \`beectl mesh revoke ${other.machineId}\`\n`,
	);
}

function termsOf(input: Input): EnrolmentTerms {
	const days = input.count('days', 1) ?? DAYS_MAX;
	if (days > DAYS_MAX) throw usageError(`--days: ${days} is more than ${DAYS_MAX}; machines renew their certificates`);
	return {
		days,
		renews: input.flag('renews'),
		labels: labelsOf(input.texts('label')),
		acceptLabels: input.flag('accept-labels'),
		join: joinOf(input),
		again: input.flag('again'),
	};
}

function labelsOf(words: readonly string[]): Record<string, string> {
	const labels = words.map((word) => {
		const at = word.indexOf('=');
		if (at < 1) throw usageError(`--label: "${word}" is not KEY=VALUE`);
		return [word.slice(0, at), word.slice(at + 1)] as const;
	});
	const parsed = v.safeParse(labelsSchema, Object.fromEntries(labels));
	if (!parsed.success) throw usageError(`--label: ${parsed.issues[0].message}`);
	return parsed.output;
}
