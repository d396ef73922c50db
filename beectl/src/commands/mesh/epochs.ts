/** `revoke`, `rotate-psk` and `publish`: a new epoch, saved before it is sent. */
import { isMeshError } from '@beemesh/sdk/errors';
import { createKeyring } from '@beemesh/sdk/identity';
import type { Cli, Command } from '../../cli/command.ts';
import { EXIT, Failure } from '../../cli/exit.ts';
import { usageError } from '../../cli/input.ts';
import { deliverEpoch } from '../../mesh/deliver.ts';
import { epochOf } from '../../mesh/enroll.ts';
import { type LedgerEntry, machineNamed, withRevoked } from '../../mesh/ledger.ts';
import { changeMeshFile, type OpenedMeshFile, openMeshFile } from '../../mesh/mesh-file.ts';
import { counted } from '../../output/human.ts';
import { noMore } from '../options.ts';

const DELIVERY =
	'It is saved first, then given to the host that is asked (--host), which tells the others. If no host can be reached,\n`beectl mesh publish` repeats the delivery.';

export const revoke: Command = {
	name: 'mesh revoke',
	summary: 'put machines out: nobody talks to them again',
	usage: ['mesh revoke MACHINE... [--mesh FILE] [--host PATH]'],
	options: {},
	notes: `MACHINE is a name or a machine ID of \`beectl mesh show\`. The mesh's shared secrets are changed with it.\n${DELIVERY}`,
	examples: [['mesh revoke bee-2', 'a machine that was stolen, or given away']],
	async run({ positionals }, cli) {
		if (positionals.length === 0) throw usageError('name a machine by its name or machine ID');
		let named: readonly LedgerEntry[] = [];
		const saved = await changeMeshFile(cli.files.mesh, cli.passphrases, (current) => {
			named = positionals.map((word) => machineNamed(current.ledger, word));
			const isNew = named.some(({ revokedMs }) => revokedMs === undefined);
			if (!isNew) return current;
			const ids = named.map(({ machineId }) => machineId);
			return withNewSecrets({ ...current, ledger: withRevoked(current.ledger, ids, cli.nowMs()) }, cli);
		});
		for (const { name, machineId, revokedMs } of named)
			cli.out.write(`${name} (${machineId}) ${revokedMs === undefined ? 'revoked' : 'was revoked before'}\n`);
		if (saved.deliveredSeq < saved.epoch.body.seq) await deliver(saved, cli);
	},
};

export const rotatePsk: Command = {
	name: 'mesh rotate-psk',
	summary: 'change the secrets that all machines of the mesh share',
	usage: ['mesh rotate-psk [--mesh FILE] [--host PATH]'],
	options: {},
	notes: `Machines take both the old and the new secrets until all have heard of the new ones. Nothing stops meanwhile.\n${DELIVERY}`,
	examples: [['mesh rotate-psk', 'when somebody may have seen them']],
	async run(input, cli) {
		noMore(input);
		const saved = await changeMeshFile(cli.files.mesh, cli.passphrases, (current) => withNewSecrets(current, cli));
		cli.out.write(`the secrets of the mesh "${saved.mesh.body.name}" are new from epoch ${saved.epoch.body.seq} on\n`);
		await deliver(saved, cli);
	},
};

export const publish: Command = {
	name: 'mesh publish',
	summary: 'give the newest epoch to the mesh once more',
	usage: ['mesh publish [--mesh FILE] [--host PATH]'],
	options: {},
	examples: [['mesh publish --host /run/beemesh/hostd.sock', 'after no host could be reached']],
	async run(input, cli) {
		noMore(input);
		await deliver(await openMeshFile(cli.files.mesh, cli.passphrases), cli);
	},
};

function withNewSecrets(current: OpenedMeshFile, cli: Cli): OpenedMeshFile {
	const next: OpenedMeshFile = { ...current, keyrings: [createKeyring(), current.keyrings[0]] };
	return { ...next, epoch: epochOf(next, cli.nowMs()) };
}

async function deliver(file: OpenedMeshFile, cli: Cli): Promise<void> {
	const { seq } = file.epoch.body;
	const hostsReached = await deliverEpoch(file, cli).catch((error: unknown) => {
		if (!isMeshError(error)) throw error;
		const isAway = error.code === 'unavailable' || error.code === 'deadline';
		throw undelivered(seq, error.message, isAway ? EXIT.unreachable : EXIT.failed, cli, error);
	});
	if (hostsReached === 0) throw undelivered(seq, 'the host took it and reached no other', EXIT.unreachable, cli);
	await changeMeshFile(cli.files.mesh, cli.passphrases, (current) =>
		current.deliveredSeq >= seq ? current : { ...current, deliveredSeq: seq },
	);
	cli.err.write(`epoch ${seq} given to ${counted(hostsReached, 'host')}\n`);
}

function undelivered(
	seq: number,
	why: string,
	exitCode: typeof EXIT.unreachable | typeof EXIT.failed,
	cli: Cli,
	cause?: unknown,
): Failure {
	return new Failure(
		exitCode,
		`epoch ${seq} is saved in ${cli.files.mesh}, but not delivered: ${why}\n  Until it is, the mesh goes on as before; repeat it with \`beectl mesh publish\``,
		{ cause },
	);
}
