/** Enrolment: a machine's request in, its certificate and sealed bundle out. No I/O. */
import { MeshError } from '@beemesh/sdk/errors';
import {
	certifyMachine,
	JOIN_ADDRESSES_MAX,
	type MeshBundle,
	type OpenedRecord,
	sealMeshBundle,
	signRecord,
} from '@beemesh/sdk/identity';
import type { MachineCsr } from '@beemesh/sdk/wire';
import { nextEpoch } from './epochs.ts';
import { entryOf, revocationsInForce, withEntry } from './ledger.ts';
import type { OpenedMeshFile } from './mesh-file.ts';

const DAY_MS = 24 * 3_600_000;
/** Longer than any certificate: a machine that renews others is enrolled by hand, and not often. */
const DELEGATION_TTL_MS = 365 * DAY_MS;
/** How many machines that are still to come a machine may renew. */
const DELEGATION_ROOM = 1024;
/** For so long a new machine may meet others that have not heard of the newest secrets. */
const KEYRING_OVERLAP_MS = DAY_MS;

export interface EnrolmentTerms {
	readonly days: number;
	readonly renews: boolean;
	/** Vouched for by the operator. */
	readonly labels: Readonly<Record<string, string>>;
	/** Vouch for those that the machine asks for, too. */
	readonly acceptLabels: boolean;
	/** Addresses of hosts, remembered for machines that follow. */
	readonly join: readonly string[];
	/** Take back a machine that was revoked. */
	readonly again: boolean;
}

export interface Enrolled {
	readonly next: OpenedMeshFile;
	/** What the machine is handed; nobody else can open it. */
	readonly bundle: Uint8Array;
}

/** The same machine again keeps its serial. Throws `conflict` for one that was revoked. */
export function enrollMachine(
	file: OpenedMeshFile,
	request: OpenedRecord<'machine-csr'>,
	terms: EnrolmentTerms,
	nowMs: number,
): Enrolled {
	const { body: csr } = request;
	const { machineId, name } = csr;
	const known = entryOf(file.ledger, machineId);
	if (known?.revokedMs !== undefined && !terms.again) {
		const since = new Date(known.revokedMs).toISOString();
		throw new MeshError(
			'conflict',
			`machine ${name} (${machineId}) was revoked at ${since}: give it new keys and enroll those, or say --again if these keys are safe after all`,
		);
	}
	const serial = known?.serial ?? file.ledger.nextSerial;
	const exp = nowMs + terms.days * DAY_MS;
	const ledger = withEntry(file.ledger, { machineId, name, serial, exp, renews: terms.renews });
	const join = [...new Set([...file.join, ...terms.join])].slice(-JOIN_ADDRESSES_MAX);
	let next: OpenedMeshFile = { ...file, ledger, join };
	if (known?.revokedMs !== undefined) next = { ...next, epoch: epochOf(next, nowMs) };
	const bundle: MeshBundle = {
		name,
		genesis: next.mesh.envelope,
		epoch: next.epoch.envelope,
		credential: certificateFor(next, csr, serial, exp, terms, nowMs),
		...(terms.renews ? { enroller: delegationFor(next, csr, nowMs) } : {}),
		keyrings: next.keyrings.slice(0, nowMs < next.epoch.body.nbf + KEYRING_OVERLAP_MS ? 2 : 1),
		join: join.filter((address) => isElsewhere(address, next, machineId)),
	};
	return { next, bundle: sealMeshBundle(bundle, machineId, csr.kemKey) };
}

/** The next epoch, with the revocations of the ledger and the newest keyring. */
export function epochOf(file: OpenedMeshFile, nowMs: number): OpenedMeshFile['epoch'] {
	const terms = { revoked: revocationsInForce(file.ledger, nowMs), keyring: file.keyrings[0] };
	return nextEpoch(file.mesh, file.epoch, terms, file.root, nowMs);
}

function certificateFor(
	{ mesh, root }: OpenedMeshFile,
	csr: MachineCsr,
	serial: number,
	exp: number,
	terms: EnrolmentTerms,
	nowMs: number,
): Uint8Array {
	const { machineId, sigKey, kemKey } = csr;
	const labels = { ...(terms.acceptLabels ? csr.labels : {}), ...terms.labels };
	const caps: 'renew'[] = terms.renews ? ['renew'] : [];
	return certifyMachine({ mesh: mesh.cid, machineId, sigKey, kemKey, caps, labels, serial, nbf: nowMs, exp }, root);
}

function delegationFor(
	{ mesh, root, ledger }: OpenedMeshFile,
	{ machineId, sigKey }: MachineCsr,
	nowMs: number,
): Uint8Array {
	const body = {
		mesh: mesh.cid,
		machineId,
		sigKey,
		serialMin: 1,
		serialMax: ledger.nextSerial + DELEGATION_ROOM,
		nbf: nowMs,
		exp: nowMs + DELEGATION_TTL_MS,
	};
	return signRecord('enroller', body, root);
}

/** An address of another machine, and not of one that has been put out. */
function isElsewhere(address: string, { ledger }: OpenedMeshFile, machineId: string): boolean {
	const who = address.slice(address.lastIndexOf('/') + 1);
	return (
		who !== machineId && !ledger.machines.some((entry) => entry.machineId === who && entry.revokedMs !== undefined)
	);
}
