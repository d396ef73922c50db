import type { Cli, Command } from '../../cli/command.ts';
import { EXIT, Failure } from '../../cli/exit.ts';
import type { LedgerEntry } from '../../mesh/ledger.ts';
import { type MeshFile, readMeshFile } from '../../mesh/mesh-file.ts';
import { fields } from '../../output/fields.ts';
import { counted, when } from '../../output/human.ts';
import { outputOf, printData } from '../../output/print.ts';
import { type Column, table } from '../../output/table.ts';
import { noMore } from '../options.ts';

export const show: Command = {
	name: 'mesh show',
	summary: 'the mesh of the mesh file, and its machines',
	usage: ['mesh show [--mesh FILE] [-o json|yaml]'],
	options: { output: { type: 'string', short: 'o', value: 'FORMAT', help: 'json or yaml' } },
	notes: 'Needs no passphrase and no host. What it knows is what was done with this mesh file.',
	examples: [
		['mesh show', 'name, ID, epoch, and every machine enrolled'],
		['mesh show -o json', 'for programs'],
	],
	async run(input, cli) {
		noMore(input);
		const output = outputOf(input.text('output'));
		if (output === 'wide' || output === 'name')
			throw new Failure(EXIT.usage, `-o: "${output}" is not one of json, yaml`);
		const file = await readMeshFile(cli.files.mesh);
		if (output === 'table') cli.out.write(textOf(file, cli));
		else printData(cli.out, output, dataOf(file, cli.nowMs()));
	},
};

function textOf({ mesh, epoch, deliveredSeq, join, ledger }: MeshFile, cli: Cli): string {
	const nowMs = cli.nowMs();
	const { seq, exp, revoked } = epoch.body;
	const isDelivered = deliveredSeq >= seq;
	const head = fields([
		['Name', mesh.body.name],
		['Mesh ID', mesh.cid],
		['Made', when(mesh.body.createdMs, nowMs)],
		['Epoch', `${seq}${isDelivered ? '' : ', not delivered yet: run `beectl mesh publish`'}`],
		['Valid until', when(exp, nowMs)],
		['Revoked', counted(revoked.length, 'machine')],
		...(join.length === 0 ? [] : [['Join', join.join(', ')] as const]),
	]);
	if (ledger.machines.length === 0) return `${head}\nno machine is enrolled yet; see \`beectl mesh enroll --help\`\n`;
	return `${head}\n${table(columns(nowMs), ledger.machines)}`;
}

function columns(nowMs: number): readonly Column<LedgerEntry>[] {
	const column = (title: string, value: (entry: LedgerEntry) => string): Column<LedgerEntry> => ({ title, value });
	return [
		column('NAME', ({ name }) => name),
		column('STATUS', (entry) => statusOf(entry, nowMs)),
		column('SERIAL', ({ serial }) => String(serial)),
		column('RENEWS', ({ renews }) => (renews ? 'yes' : 'no')),
		column('CERTIFIED UNTIL', ({ exp }) => when(exp, nowMs)),
		column('MACHINE ID', ({ machineId }) => machineId),
	];
}

/** Machines renew their certificates among themselves: that the first one has ended says little. */
function statusOf({ revokedMs, exp }: LedgerEntry, nowMs: number): string {
	if (revokedMs !== undefined) return 'revoked';
	return nowMs > exp ? 'to renew' : 'enrolled';
}

function dataOf({ mesh, epoch, deliveredSeq, join, ledger }: MeshFile, nowMs: number): unknown {
	const { seq, exp, revoked } = epoch.body;
	return {
		name: mesh.body.name,
		mesh: mesh.cid,
		createdMs: mesh.body.createdMs,
		epoch: { seq, cid: epoch.cid, exp, revoked, isDelivered: deliveredSeq >= seq },
		join,
		machines: ledger.machines.map((entry) => ({ ...entry, status: statusOf(entry, nowMs) })),
	};
}
