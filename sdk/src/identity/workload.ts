/**
 * A workload's chain of trust: owner → Genesis → Charter and TenderGrant → ReplicaCert. Trust for now: the workload's
 * tender key, which every replica's host can read, certifies replicas; the epochs of the zero-trust design replace this
 * file and not its callers.
 */
import { MeshError } from '../errors.ts';
import {
	type Bundle,
	type Charter,
	type Csr,
	decodeRecord,
	encodeRecord,
	type Genesis,
	LIMITS,
	type MachineId,
	type Manifest,
	type RecordCid,
	type ReplicaCert,
	type Tender,
	type TenderGrant,
	type WorkloadId,
	type WorkloadKind,
} from '../wire/index.ts';
import { cidOf, createKeyPair, type KeyPair, ownerIdOf, peerIdOf, type Signer, sha256 } from './keys.ts';
import { type OpenedRecord, openRecord, requireFresh, sameBytes, signRecord } from './records.ts';

const CERT_TTL_MS = 24 * 60 * 60 * 1000;

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
	readonly tenderKey: KeyPair;
	readonly bundle: Bundle;
}

/** Verifies a bundle as a whole: one owner, one workload, manifest as chartered, secret matching the grant. */
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
	const tenderKey = createKeyPair(bundle.tenderSecret);
	if (!sameBytes(tenderKey.publicKey, grant.body.tenderKey))
		throw new MeshError('unauthorized', 'the tender key is not the granted one');
	const manifest = decodeRecord(bundle.manifest, LIMITS.manifestBytesMax) as Manifest;
	return { wid, owner: genesis.signer, charter, grant, manifest, tenderKey, bundle };
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
	if (nowMs + LIMITS.skewMs < charter.body.nbf || nowMs > charter.body.exp)
		throw new MeshError('unauthorized', 'the charter is not valid now');
	return charter;
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
	const tender = openRecord('tender', envelope);
	requireFresh('the tender', tender.body, nowMs);
	const grant = openGrant(tender.body.grant, nowMs);
	if (grant.body.wid !== tender.body.wid || !sameBytes(grant.body.tenderKey, tender.signer)) {
		throw new MeshError('unauthorized', 'the tender is not signed with the granted key');
	}
	return { tender, grant };
}

/** Verifies that a machine signed this record and names itself in it. */
export function openMachineRecord<T extends 'bid' | 'host-statement' | 'presence'>(
	type: T,
	envelope: Uint8Array,
): OpenedRecord<T> {
	const record = openRecord(type, envelope);
	if ((peerIdOf(record.signer) as string) !== (record.body as { machineId: string }).machineId) {
		throw new MeshError('unauthorized', `the ${type} is not signed by the machine it names`);
	}
	return record;
}

/** Verifies an award: fresh, signed by the requester of its tender. */
export function openAward(envelope: Uint8Array, nowMs: number): OpenedRecord<'award'> {
	const award = openRecord('award', envelope);
	requireFresh('the award', award.body, nowMs);
	if ((peerIdOf(award.signer) as string) !== award.body.requester)
		throw new MeshError('unauthorized', 'the award is not signed by its requester');
	return award;
}

/** Verifies an admission request: the replica's own signature, and the statement of the machine it runs on. */
export function openAdmission(
	csrEnvelope: Uint8Array,
	statementEnvelope: Uint8Array,
): { csr: OpenedRecord<'csr'>; machineId: MachineId } {
	const csr = openRecord('csr', csrEnvelope);
	if ((peerIdOf(csr.signer) as string) !== csr.body.replicaId)
		throw new MeshError('unauthorized', 'the admission request is not signed by its replica');
	const statement = openMachineRecord('host-statement', statementEnvelope);
	if (statement.body.csrCid !== csr.cid || statement.body.awardId !== csr.body.awardId) {
		throw new MeshError('unauthorized', "the host's statement is about another admission request");
	}
	return { csr, machineId: statement.body.machineId };
}

/** Certifies a replica. */
export function certify(
	charter: Charter,
	csr: Csr,
	machineId: MachineId,
	tenderKey: Signer,
	nowMs: number,
): Uint8Array {
	const { wid, owner, namespace, name } = charter;
	const { slot, gen, incarnation, replicaId, awardId } = csr;
	const body: ReplicaCert = {
		wid,
		owner,
		namespace,
		name,
		slot,
		gen,
		incarnation,
		replicaId,
		machineId,
		awardId,
		nbf: nowMs,
		exp: nowMs + CERT_TTL_MS,
	};
	return signRecord('replica-cert', body, tenderKey);
}

/** A replica's proof of membership: certificate and the grant that makes it count. */
export interface Credential {
	readonly cert: Uint8Array;
	readonly grant: Uint8Array;
}

/** Verifies a credential. The owner's key comes out; whether it is *our* owner is the caller's question. */
export function openCredential(
	credential: Credential,
	nowMs: number,
): { cert: ReplicaCert; grant: TenderGrant; owner: Uint8Array } {
	const grant = openGrant(credential.grant, nowMs);
	const cert = openRecord('replica-cert', credential.cert);
	if (!sameBytes(cert.signer, grant.body.tenderKey))
		throw new MeshError('unauthorized', 'the certificate is not signed with the granted key');
	if (cert.body.wid !== grant.body.wid || cert.body.owner !== grant.body.owner)
		throw new MeshError('unauthorized', 'the certificate is of another workload');
	if (nowMs + LIMITS.skewMs < cert.body.nbf || nowMs > cert.body.exp)
		throw new MeshError('unauthorized', 'the certificate is not valid now');
	return { cert: cert.body, grant: grant.body, owner: grant.signer };
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
