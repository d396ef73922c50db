/** The records that make and change a workload, signed with the owner's key. */
import {
	createKeyPair,
	defaultAdmissionTerms,
	genesisFor,
	type KeyPair,
	type OpenedBundle,
	openBundle,
	ownerIdOf,
	signRecord,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import type { Charter, Manifest, WorkloadId } from '@beemesh/sdk/wire';
import type { Owner } from '../owner/owner.ts';
import type { Wanted } from './plan.ts';

/** Charters and grants outlive any pause of the owner; a newer era replaces them. */
const VALID_MS = 365 * 24 * 60 * 60 * 1000;

/** Room for replacements during a roll-out, and to scale up without the owner granting more. */
function quotaFor(replicas: number): number {
	return Math.max(2 * replicas, 64);
}

export function widOf(owner: KeyPair, { kind, metadata }: Manifest): WorkloadId {
	return workloadIdOf(genesisFor(owner.publicKey, kind, metadata.namespace, metadata.name));
}

/** `previous`: the charter that it replaces, where there is one. */
export function charterFor(
	owner: KeyPair,
	wanted: Wanted,
	era: number,
	nowMs: number,
	previous?: Pick<Charter, 'slotsMax'>,
): Charter {
	const { kind, metadata } = wanted.manifest;
	return {
		wid: widOf(owner, wanted.manifest),
		owner: ownerIdOf(owner.publicKey),
		era,
		kind,
		namespace: metadata.namespace,
		name: metadata.name,
		manifestCid: wanted.manifestCid,
		replicas: wanted.replicas,
		...termsAfter(previous, wanted.replicas),
		deleted: false,
		nbf: nowMs,
		exp: nowMs + VALID_MS,
	};
}

/** The next charter of a workload: the same but for what is given. */
export function charterAfter(
	previous: Charter,
	change: Partial<Pick<Charter, 'replicas' | 'deleted'>>,
	era: number,
	nowMs: number,
): Charter {
	const { slotsMax } = termsAfter(previous, change.replicas ?? previous.replicas);
	return { ...previous, ...change, slotsMax, era, seq: 0, nbf: nowMs, exp: nowMs + VALID_MS };
}

/** Never fewer slots than before: tighter terms of admission would take an epoch of the owner's. */
function termsAfter(previous: Pick<Charter, 'slotsMax'> | undefined, replicas: number) {
	const terms = defaultAdmissionTerms(replicas);
	return { ...terms, slotsMax: Math.max(terms.slotsMax, previous?.slotsMax ?? 0) };
}

/** A workload about to be placed: what the winners of a placement get, and what only its members get. */
export interface NewWorkload {
	readonly bundle: OpenedBundle;
	/** Made for it: replicas ask for replacements with it. */
	readonly tenderKey: KeyPair;
	readonly owner: Owner;
}

export function newWorkload(owner: Owner, wanted: Wanted, era: number, nowMs: number): NewWorkload {
	const { signer } = owner;
	const { kind, metadata } = wanted.manifest;
	const charter = charterFor(signer, wanted, era, nowMs);
	const tenderKey = createKeyPair();
	const grant = {
		wid: charter.wid,
		owner: charter.owner,
		tenderKey: tenderKey.publicKey,
		quota: quotaFor(wanted.replicas),
		exp: nowMs + VALID_MS,
	};
	const records = {
		genesis: signRecord('genesis', genesisFor(signer.publicKey, kind, metadata.namespace, metadata.name), signer),
		charter: signRecord('charter', charter, signer),
		grant: signRecord('tender-grant', grant, signer),
	};
	return { bundle: openBundle({ ...records, manifest: wanted.manifestBytes }, nowMs), tenderKey, owner };
}
