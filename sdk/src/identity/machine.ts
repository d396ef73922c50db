/**
 * A mesh and its machines: genesis → (enroller) → machine certificate, and the epoch that says who is out. A machine's
 * credential is its certificate with the delegation it was signed under, if any, so that whoever holds the genesis can
 * check it alone.
 */
import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	KEY_BYTES,
	type MachineCert,
	type MachineId,
	type MachineRenewal,
	type PeerId,
	type RecordCid,
} from '../wire/index.ts';
import { createKemKey, createKeyPair, type KemKeyPair, type KeyPair } from './keys.ts';
import { createPeerKey, type PeerKey, verifyPeerProof } from './peer-key.ts';
import { type OpenedRecord, openRecord, peekRecord, requireValid, sameBytes, signRecord } from './records.ts';

/** A certificate lives at most this long; machines renew theirs at half of it. */
export const MACHINE_CERT_TTL_MS = 30 * 24 * 3_600_000;
export const NODE_SEED_BYTES = 32 + KEY_BYTES.seed + KEY_BYTES.kemSeed;
const CREDENTIAL_BYTES_MAX = 24 * 1024;

/** The three keys of one machine or replica; one holder, different uses. */
export interface NodeKeys {
	readonly peer: PeerKey;
	readonly signer: KeyPair;
	readonly kem: KemKeyPair;
	/** All three seeds, to be kept. Secret. */
	readonly seed: Uint8Array;
}

/** New keys, or those of a seed of {@link NODE_SEED_BYTES}. */
export function createNodeKeys(seed: Uint8Array = randomBytes(NODE_SEED_BYTES)): NodeKeys {
	if (seed.byteLength !== NODE_SEED_BYTES) {
		throw new MeshError('invalid_input', `the seed of a node has ${NODE_SEED_BYTES} bytes, not ${seed.byteLength}`);
	}
	return {
		peer: createPeerKey(seed.subarray(0, 32)),
		signer: createKeyPair(seed.subarray(32, 32 + KEY_BYTES.seed)),
		kem: createKemKey(seed.subarray(32 + KEY_BYTES.seed)),
		seed: new Uint8Array(seed),
	};
}

export type OpenedMesh = OpenedRecord<'mesh-genesis'>;

/** Makes a mesh: a genesis signed by its own root key. */
export function createMesh(name: string, root: KeyPair, nowMs: number): OpenedMesh {
	const body = { name, rootKey: root.publicKey, salt: new Uint8Array(randomBytes(16)), createdMs: nowMs };
	return openMesh(signRecord('mesh-genesis', body, root));
}

/** Verifies a genesis. That it is *our* mesh is known by its CID only. */
export function openMesh(envelope: Uint8Array): OpenedMesh {
	return openRecord('mesh-genesis', envelope, ({ rootKey }) => [rootKey]);
}

/** A machine's request for enrolment. */
export function requestEnrolment(
	keys: NodeKeys,
	about: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
	nowMs: number,
): Uint8Array {
	const certified = { sigKey: keys.signer.publicKey, kemKey: keys.kem.publicKey };
	const body = {
		machineId: keys.peer.peerId as MachineId,
		...certified,
		peerProof: keys.peer.proofFor(certified),
		name: about.name,
		labels: { ...about.labels },
		ts: nowMs,
	};
	return signRecord('machine-csr', body, keys.signer);
}

/** Verifies a request: its keys are its signer's, and the peer key agrees. Age is the caller's question: air gaps take days. */
export function openEnrolmentRequest(envelope: Uint8Array): OpenedRecord<'machine-csr'> {
	const csr = openRecord('machine-csr', envelope, ({ sigKey }) => [sigKey]);
	requirePeerProof(csr.body.machineId, csr.body);
	return csr;
}

/** Throws `unauthorized` unless the peer key's holder wants these keys certified. */
export function requirePeerProof(
	peerId: PeerId,
	keys: { readonly sigKey: Uint8Array; readonly kemKey: Uint8Array; readonly peerProof: Uint8Array },
): void {
	if (!verifyPeerProof(peerId, keys, keys.peerProof))
		throw new MeshError('unauthorized', `the holder of ${peerId} has not asked for these keys to be certified`);
}

/** Certifies a machine, as the root. */
export function certifyMachine(cert: Omit<MachineCert, 'exp'> & { readonly exp?: number }, root: KeyPair): Uint8Array {
	return encodeRecord({ cert: signRecord('machine-cert', { exp: cert.nbf + MACHINE_CERT_TTL_MS, ...cert }, root) });
}

/** Prolongs a machine's certificate, as an enroller under its delegation. */
export function renewMachine(
	machine: OpenedMachine,
	enroller: { readonly delegation: Uint8Array; readonly signer: KeyPair },
	term: { readonly nbf: number; readonly exp: number },
): Uint8Array {
	const { cert } = decodeCredential(machine.credential);
	const { mesh, machineId } = machine.cert;
	const renewal = signRecord('machine-renewal', { mesh, certCid: machine.cid, machineId, ...term }, enroller.signer);
	return encodeRecord({ cert, renewal: { renewal, enroller: enroller.delegation } });
}

/** A machine whose credential has been verified. Whether it is revoked is `MachineTrust`'s to say. */
export interface OpenedMachine {
	readonly machineId: MachineId;
	/** Names the root's certificate; renewals do not change it. */
	readonly cid: RecordCid;
	readonly cert: MachineCert;
	/** When the certificate, or its renewal, begins and ends to hold. */
	readonly nbf: number;
	readonly exp: number;
	/** The credential as it came. */
	readonly credential: Uint8Array;
}

const credentialSchema = v.strictObject({
	cert: envelopeSchema,
	renewal: v.optional(v.strictObject({ renewal: envelopeSchema, enroller: envelopeSchema })),
});

/** Verifies a credential: size, form, mesh, time, signatures, delegation. Throws `invalid_input` or `unauthorized`. */
export function openMachineCredential(credential: Uint8Array, mesh: OpenedMesh, nowMs: number): OpenedMachine {
	const { cert: envelope, renewal } = decodeCredential(credential);
	// Cheap checks on what it claims come first; nothing of it is used before its signature holds.
	const claimed = peekRecord('machine-cert', envelope);
	requireTerm('the machine certificate', claimed.body, mesh);
	if (renewal === undefined) requireValid('the machine certificate', claimed.body, nowMs);
	const { body: cert, cid } = claimed.verify([mesh.body.rootKey]);
	const { nbf, exp } = renewal === undefined ? cert : openRenewal(renewal, { cert, cid }, mesh, nowMs);
	return { machineId: cert.machineId, cid, cert, nbf, exp, credential };
}

/** What a credential claims, nothing of it proved. Throws `invalid_input`. */
export function peekMachineCert(credential: Uint8Array): MachineCert {
	return peekRecord('machine-cert', decodeCredential(credential).cert).body;
}

function decodeCredential(credential: Uint8Array): v.InferOutput<typeof credentialSchema> {
	const parsed = v.safeParse(credentialSchema, decodeRecord(credential, CREDENTIAL_BYTES_MAX));
	if (!parsed.success) throw new MeshError('invalid_input', 'not a machine credential');
	return parsed.output;
}

/**
 * Whether the enroller has been revoked since does not matter: all that it can do is prolong what the root has given, and
 * machines that are themselves revoked are refused whatever they show.
 */
function openRenewal(
	{ renewal: envelope, enroller }: NonNullable<v.InferOutput<typeof credentialSchema>['renewal']>,
	{ cert, cid }: Pick<OpenedMachine, 'cert' | 'cid'>,
	mesh: OpenedMesh,
	nowMs: number,
): MachineRenewal {
	const claimed = peekRecord('machine-renewal', envelope);
	const { body } = claimed;
	requireTerm('the renewal', body, mesh);
	requireValid('the renewal', body, nowMs);
	if (body.certCid !== cid || body.machineId !== cert.machineId)
		throw new MeshError('unauthorized', 'the renewal is of another certificate');
	const { body: delegation } = openRecord('enroller', enroller, [mesh.body.rootKey]);
	requireOfMesh('the delegation', delegation.mesh, mesh);
	requireValid('the delegation', delegation, nowMs);
	if (body.exp > delegation.exp)
		throw new MeshError('unauthorized', 'the renewal outlives the delegation of whoever signed it');
	if (cert.serial < delegation.serialMin || cert.serial > delegation.serialMax)
		throw new MeshError('unauthorized', `serial ${cert.serial} is outside the delegation of whoever renewed it`);
	return claimed.verify([delegation.sigKey]).body;
}

function requireTerm(
	what: string,
	term: { readonly mesh: RecordCid; readonly nbf: number; readonly exp: number },
	mesh: OpenedMesh,
): void {
	requireOfMesh(what, term.mesh, mesh);
	if (term.exp - term.nbf > MACHINE_CERT_TTL_MS)
		throw new MeshError('unauthorized', `${what} lives longer than 30 days`);
}

function requireOfMesh(what: string, meshId: RecordCid, mesh: OpenedMesh): void {
	if (meshId !== mesh.cid)
		throw new MeshError('unauthorized', `${what} is of another mesh`, { details: { refusal: 'mesh' } });
}

/** Throws `unauthorized` unless the certificate names these keys, all three. */
export function requireNamed(cert: MachineCert, keys: NodeKeys): void {
	const isOurs =
		cert.machineId === keys.peer.peerId &&
		sameBytes(cert.sigKey, keys.signer.publicKey) &&
		sameBytes(cert.kemKey, keys.kem.publicKey);
	if (!isOurs)
		throw new MeshError(
			'unauthorized',
			`the certificate is of ${cert.machineId}, or of other keys than ${keys.peer.peerId} has`,
		);
}
