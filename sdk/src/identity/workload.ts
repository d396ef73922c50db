/**
 * A workload's chain of trust: owner → Genesis → Charter and TenderGrant → ReplicaCert. Trust for now: the workload's
 * tender key, which every replica's host can read, certifies replicas; the epochs of the zero-trust design replace this
 * file and not its callers.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	type Bundle,
	type Charter,
	type Csr,
	certifiedPart,
	decodeRecord,
	encodeRecord,
	type Genesis,
	LIMITS,
	type Manifest,
	manifestSchema,
	type RecordCid,
	type ReplicaId,
	SLOTS_MAX,
	type Tender,
	unmetSelector,
	type WorkloadId,
	type WorkloadKind,
} from '../wire/index.ts';
import { cidOf, ownerIdOf, type Signer, sha256 } from './keys.ts';
import { type NodeKeys, type OpenedMachine, requirePeerProof } from './machine.ts';
import {
	type OpenedRecord,
	openRecord,
	type PeekedRecord,
	peekRecord,
	requireFresh,
	requireValid,
	sameBytes,
	signRecord,
} from './records.ts';

/** What a charter says about admission where nobody asks for anything else, with room to scale up. */
export function defaultAdmissionTerms(
	replicas: number,
): Pick<Charter, 'seq' | 'slotsMax' | 'admit' | 'certTtlMs' | 'imageDigests'> {
	const slotsMax = Math.min(Math.max(2 * replicas, 64), SLOTS_MAX);
	return { seq: 0, slotsMax, admit: { k: 1 }, certTtlMs: LIMITS.certTtlMsMax, imageDigests: [] };
}

/** The Genesis of this owner's workload of this name; deterministic, so that names resolve without a registry. */
export function genesisFor(owner: Uint8Array, kind: WorkloadKind, namespace: string, name: string): Genesis {
	return { owner: ownerIdOf(owner), salt: sha256(new TextEncoder().encode(`${kind}/${namespace}/${name}`)) };
}

export function workloadIdOf(genesis: Genesis): WorkloadId {
	return cidOf(encodeRecord(genesis)) as string as WorkloadId;
}

/** Canonical bytes of a manifest, and their CID. Throws `invalid_input` above 128 KiB. */
export function encodeManifest(manifest: Manifest): { readonly bytes: Uint8Array; readonly cid: RecordCid } {
	const bytes = encodeRecord(dropUndefined(manifest));
	if (bytes.byteLength > LIMITS.manifestBytesMax) {
		throw new MeshError(
			'invalid_input',
			`the manifest has ${bytes.byteLength} bytes, the limit is ${LIMITS.manifestBytesMax}`,
		);
	}
	return { bytes, cid: cidOf(bytes) };
}

/** A bundle whose chain has been verified. */
export interface OpenedBundle {
	readonly wid: WorkloadId;
	readonly owner: Uint8Array;
	readonly charter: OpenedRecord<'charter'>;
	readonly grant: OpenedRecord<'tender-grant'>;
	readonly manifest: Manifest;
	readonly bundle: Bundle;
}

/** Verifies a bundle as a whole: one owner, one workload, manifest as chartered. */
export function openBundle(bundle: Bundle, nowMs: number): OpenedBundle {
	const genesis = openRecord('genesis', bundle.genesis);
	const wid = workloadIdOf(genesis.body);
	if (ownerIdOf(genesis.signer) !== genesis.body.owner)
		throw new MeshError('unauthorized', 'the genesis is not signed by its owner');
	const charter = openCharter(bundle.charter, wid, genesis.signer, nowMs);
	const grant = openGrant(bundle.grant, nowMs);
	if (grant.body.wid !== wid || !sameBytes(grant.signer, genesis.signer)) {
		throw new MeshError('unauthorized', 'the tender grant is of another workload or owner');
	}
	if (cidOf(bundle.manifest) !== charter.body.manifestCid)
		throw new MeshError('unauthorized', 'the manifest is not the chartered one');
	return {
		wid,
		owner: genesis.signer,
		charter,
		grant,
		manifest: decodeManifest(bundle.manifest, charter.body),
		bundle,
	};
}

/** Throws `invalid_input` for what is no manifest of this workload, whoever has signed its CID. */
function decodeManifest(bytes: Uint8Array, { kind, namespace, name }: Charter): Manifest {
	const value = decodeRecord(bytes, LIMITS.manifestBytesMax);
	const parsed = v.safeParse(manifestSchema, value, { abortEarly: true });
	if (!parsed.success) {
		const [issue] = parsed.issues;
		throw new MeshError('invalid_input', `not a manifest: ${v.getDotPath(issue) ?? 'all of it'}: ${issue.message}`);
	}
	const { metadata } = parsed.output;
	if (parsed.output.kind !== kind || metadata.namespace !== namespace || metadata.name !== name)
		throw new MeshError(
			'invalid_input',
			`the manifest is of ${parsed.output.kind} ${metadata.namespace}/${metadata.name}, its charter of ${kind} ${namespace}/${name}`,
		);
	return value as Manifest;
}

/** Verifies a charter of a known workload and owner. */
export function openCharter(
	envelope: Uint8Array,
	wid: WorkloadId,
	owner: Uint8Array,
	nowMs: number,
): OpenedRecord<'charter'> {
	const charter = openRecord('charter', envelope);
	if (!sameBytes(charter.signer, owner) || ownerIdOf(charter.signer) !== charter.body.owner) {
		throw new MeshError('unauthorized', 'the charter is not signed by the owner of this workload');
	}
	if (charter.body.wid !== wid) throw new MeshError('unauthorized', 'the charter is of another workload');
	const genesis = genesisFor(owner, charter.body.kind, charter.body.namespace, charter.body.name);
	if (workloadIdOf(genesis) !== wid) throw new MeshError('unauthorized', 'the charter renames its workload');
	requireValid('the charter', charter.body, nowMs);
	return charter;
}

/** Verifies a charter of any workload of this owner. */
export function openOwnedCharter(envelope: Uint8Array, owner: Uint8Array, nowMs: number): OpenedRecord<'charter'> {
	return openCharter(envelope, peekRecord('charter', envelope).body.wid, owner, nowMs);
}

/** Verifies a grant on its own: signed by the owner it names, not expired. */
export function openGrant(envelope: Uint8Array, nowMs: number): OpenedRecord<'tender-grant'> {
	const grant = openRecord('tender-grant', envelope);
	if (ownerIdOf(grant.signer) !== grant.body.owner)
		throw new MeshError('unauthorized', 'the tender grant is not signed by its owner');
	if (nowMs > grant.body.exp) throw new MeshError('unauthorized', 'the tender grant has expired');
	return grant;
}

/** Verifies a tender: fresh, signed with the key that its owner granted for its workload. */
export function openTender(
	envelope: Uint8Array,
	nowMs: number,
): { tender: OpenedRecord<'tender'>; grant: OpenedRecord<'tender-grant'> } {
	return verifyTender(peekRecord('tender', envelope), nowMs);
}

/** The same, of a tender that has been looked at. */
export function verifyTender(
	peeked: PeekedRecord<'tender'>,
	nowMs: number,
): { tender: OpenedRecord<'tender'>; grant: OpenedRecord<'tender-grant'> } {
	const claimed = peeked.body;
	requireFresh('the tender', claimed, nowMs);
	const grant = openGrant(claimed.grant, nowMs);
	if (grant.body.wid !== claimed.wid) throw new MeshError('unauthorized', 'the grant is of another workload');
	return { tender: peeked.verify([grant.body.tenderKey]), grant };
}

/** A replica's request for admission, signed with the key that it wants certified. */
export function requestAdmission(
	keys: NodeKeys,
	at: Omit<Csr, 'replicaId' | 'sigKey' | 'kemKey' | 'peerProof'>,
): { readonly csr: Csr; readonly envelope: Uint8Array } {
	const certified = { sigKey: keys.signer.publicKey, kemKey: keys.kem.publicKey };
	const peerProof = keys.peer.proofFor(certified);
	const csr: Csr = { ...at, replicaId: keys.peer.peerId as ReplicaId, ...certified, peerProof };
	return { csr, envelope: signRecord('csr', csr, keys.signer) };
}

/** Verifies a request on its own: its keys are its signer's, and the peer key agrees. */
export function openCsr(envelope: Uint8Array): OpenedRecord<'csr'> {
	const csr = openRecord('csr', envelope, ({ sigKey }) => [sigKey]);
	requirePeerProof(csr.body.replicaId, csr.body);
	return csr;
}

/** Verifies a host's statement about an admission request: all of the request that whoever carries it gets to see. */
export function openStatement(envelope: Uint8Array, machine: OpenedMachine): OpenedRecord<'host-statement'> {
	const statement = openRecord('host-statement', envelope, [machine.cert.sigKey]);
	if (statement.body.machineId !== machine.machineId)
		throw new MeshError('unauthorized', "the host's statement names another machine than its signer");
	return statement;
}

/** Verifies an admission request: the replica's own signature, and the statement of the machine it runs on. */
export function openAdmission(
	csrEnvelope: Uint8Array,
	statementEnvelope: Uint8Array,
	machine: OpenedMachine,
): { csr: OpenedRecord<'csr'>; statement: OpenedRecord<'host-statement'> } {
	const csr = openCsr(csrEnvelope);
	const statement = openStatement(statementEnvelope, machine);
	if (statement.body.csrCid !== csr.cid || statement.body.awardId !== csr.body.awardId) {
		throw new MeshError('unauthorized', "the host's statement is about another admission request");
	}
	return { csr, statement };
}

/**
 * Throws `unauthorized` unless the machine's certificate meets the manifest's nodeSelector: for whoever hands the workload
 * out or admits a replica, whatever the host between says that the machine is.
 */
export function requireSelected({ spec }: Manifest, { machineId, cert }: OpenedMachine): void {
	const unmet = unmetSelector(certifiedPart(spec.template.spec.nodeSelector ?? {}), cert.labels);
	if (unmet !== undefined) throw new MeshError('unauthorized', `machine ${machineId} must not run it: ${unmet}`);
}

/** Makes and signs a tender. */
export function signTender(tender: Omit<Tender, 'nonce'>, nonce: Uint8Array, tenderKey: Signer): Uint8Array {
	return signRecord('tender', { ...tender, nonce }, tenderKey);
}

function dropUndefined(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(dropUndefined);
	if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
	return Object.fromEntries(
		Object.entries(value)
			.filter(([, child]) => child !== undefined)
			.map(([key, child]) => [key, dropUndefined(child)]),
	);
}
