/** A workload for tests of membership: an owner, and replicas with their keys at hand. */
import { expect } from 'chai';
import { isMeshError } from '../../../errors.ts';
import {
	type Charter,
	decodeRecord,
	type EpochLink,
	type EpochRecord,
	LIMITS,
	type MachineId,
} from '../../../wire/index.ts';
import { createKeyPair, type KeyPair, type Signer } from '../../keys.ts';
import { createNodeKeys, type NodeKeys } from '../../machine.ts';
import { assembleRecord, openRecord, type RecordSignature, signRecord, signRecordPart } from '../../records.ts';
import { createWorkload, DAY_MS, NOW_MS } from '../../test/fixtures.ts';
import { createUlid } from '../../ulid.ts';
import { openCsr, requestAdmission } from '../../workload.ts';
import { certifyOwn, renewOwn } from '../certificate.ts';
import { type CharterOpened, EpochChain, linkOf } from '../chain.ts';
import { type EpochDraft, foundingEpoch } from '../draft.ts';
import { groupKeyCommit } from '../group-key.ts';
import type { EpochRule } from '../rules.ts';

const MACHINE = createNodeKeys().peer.peerId as MachineId;

/** A replica that would like to be in. */
export interface TestReplica {
	readonly keys: NodeKeys;
	readonly slot: number;
	readonly gen: number;
	/** Its certificate, from `nbf` for the charter's time. */
	cert(nbfMs: number): Uint8Array;
}

export interface TestWorkload {
	readonly owner: KeyPair;
	readonly charter: CharterOpened;
	/** Another charter of it. */
	charterWith(change: Partial<Charter>): CharterOpened;
	replica(slot: number, gen?: number, options?: ReplicaOptions): TestReplica;
	/** Signed by the owner. */
	owned(draft: EpochDraft): EpochLink;
	/** Founded with these, at {@link NOW_MS}. */
	foundingLink(replicas: readonly TestReplica[]): EpochLink;
	found(replicas: readonly TestReplica[]): EpochChain;
}

interface ReplicaOptions {
	readonly incarnation?: number;
	readonly keys?: NodeKeys;
	/** Default: one of its own. */
	readonly awardId?: string;
	readonly machineId?: MachineId;
	/** Alters the certificate's body before it is signed. */
	readonly change?: Partial<ReturnType<typeof bodyOf>>;
	readonly charter?: Charter;
}

/** The commitment to the `n`th group key. */
export function commit(n: number): Uint8Array {
	return groupKeyCommit(new Uint8Array(32).fill(n));
}

export function createEpochWorkload(change: Partial<Charter> = {}, owner: KeyPair = createKeyPair()): TestWorkload {
	const { charter: body, bundle } = createWorkload(owner, { exp: NOW_MS + 365 * DAY_MS, slotsMax: 8, ...change });
	const charter = openRecord('charter', bundle.charter);
	const workload: TestWorkload = {
		owner,
		charter,
		charterWith: (more) => openRecord('charter', signRecord('charter', { ...body, ...more }, owner)),
		replica(slot, gen = 1, options = {}) {
			const { incarnation = 0, keys = createNodeKeys(), awardId = createUlid(NOW_MS), machineId = MACHINE } = options;
			const { envelope } = requestAdmission(keys, {
				...{ wid: body.wid, slot, gen, incarnation, awardId, addresses: [], ts: NOW_MS },
			});
			const csr = openCsr(envelope);
			const about = { machineId, manifestCid: body.manifestCid };
			return {
				...{ keys, slot, gen },
				cert(nbfMs) {
					const cert = certifyOwn(options.charter ?? body, csr, about, keys.signer, nbfMs);
					if (options.change === undefined) return cert;
					return signRecord('replica-cert', { ...bodyOf(cert), ...options.change }, keys.signer);
				},
			};
		},
		owned: (draft) => signedLink(draft, [owner]),
		foundingLink(replicas) {
			const certs = replicas.map((replica) => replica.cert(NOW_MS));
			return workload.owned(foundingEpoch(body, certs, { tsMs: NOW_MS, groupKeyCommit: commit(0) }));
		},
		found: (replicas) => EpochChain.found(charter, workload.foundingLink(replicas), NOW_MS),
	};
	return workload;
}

/** A draft with these signatures. */
export function signedLink(draft: EpochDraft, signers: readonly (Signer | TestReplica)[]): EpochLink {
	const keys = signers.map((signer) => ('keys' in signer ? signer.keys.signer : signer));
	return linkOf(
		draft,
		keys.map((key) => signRecordPart('epoch', draft.body, key)),
	);
}

/** The same epoch with something else in it, as its signers would never have drafted it. */
export function forged(
	draft: EpochDraft,
	change: Partial<EpochRecord>,
	signers: readonly (Signer | TestReplica)[],
): EpochLink {
	const body = { ...draft.body, ...change };
	const signatures = signers.map((signer) =>
		signRecordPart('epoch', body, 'keys' in signer ? signer.keys.signer : signer),
	);
	return { epoch: assembleRecord('epoch', body, signatures), certs: [...draft.certs] };
}

export function bodyOf(cert: Uint8Array) {
	return openRecord('replica-cert', cert, ({ sigKey }) => [sigKey]).body;
}

export function renewed(charter: CharterOpened, replica: TestReplica, cert: Uint8Array, nowMs: number): Uint8Array {
	return renewOwn(charter.body, bodyOf(cert), replica.keys.signer, nowMs);
}

/** Expects a refusal that names this rule, and a chain that is as it was. */
export function broken(rule: EpochRule, chain: EpochChain, act: () => unknown): void {
	const before = stateOf(chain);
	let error: unknown;
	try {
		act();
	} catch (thrown) {
		error = thrown;
	}
	expect(isMeshError(error), `refused by ${rule}: ${String(error)}`).to.equal(true);
	expect((error as { details?: unknown }).details, String(error)).to.deep.equal({ rule });
	expect(stateOf(chain)).to.deep.equal(before);
}

function stateOf(chain: EpochChain) {
	const { head, checkpoint, sizeBytes, charter } = chain;
	return { head, checkpoint, sizeBytes, charter: charter.cid, links: chain.linksSince(-1), forks: chain.forks() };
}

export function signaturesOf({ epoch }: EpochLink): readonly RecordSignature[] {
	return (decodeRecord(epoch, LIMITS.epochBytesMax) as { readonly s: readonly RecordSignature[] }).s;
}
