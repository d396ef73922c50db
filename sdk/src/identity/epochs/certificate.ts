/**
 * Certificates of replicas. A replica signs its own: that proves that it holds the keys, and lets it be shown to anybody.
 * It counts where an epoch names its CID, and the members who signed that epoch have seen the request behind it.
 */
import { MeshError } from '../../errors.ts';
import type { Charter, Csr, MachineId, RecordCid, ReplicaCert } from '../../wire/index.ts';
import { keyIdOf, type Signer } from '../keys.ts';
import { requirePeerProof } from '../machine.ts';
import { type OpenedRecord, openRecord, peekRecord, sameBytes, signRecord } from '../records.ts';

/** The certificate of a replica whose request has been opened, by the replica itself. */
export function certifyOwn(
	charter: Charter,
	csr: { readonly cid: RecordCid; readonly body: Csr },
	about: { readonly machineId: MachineId; readonly manifestCid: RecordCid },
	signer: Signer,
	nowMs: number,
): Uint8Array {
	const { wid, owner, namespace, name, certTtlMs } = charter;
	const { slot, gen, incarnation, replicaId, sigKey, kemKey, peerProof, awardId } = csr.body;
	return signRecord(
		'replica-cert',
		{
			...{ wid, owner, namespace, name, slot, gen, incarnation, replicaId, sigKey, kemKey, peerProof, awardId },
			...{ ...about, csrCid: csr.cid, nbf: nowMs, exp: nowMs + certTtlMs },
		},
		signer,
	);
}

/** The same certificate from now on. */
export function renewOwn(charter: Charter, cert: ReplicaCert, signer: Signer, nowMs: number): Uint8Array {
	return signRecord('replica-cert', { ...cert, nbf: nowMs, exp: nowMs + charter.certTtlMs }, signer);
}

/** Verifies a certificate on its own: its keys are its signer's, and the peer key agrees. That it is a member's is not said. */
export function openReplicaCert(envelope: Uint8Array): OpenedRecord<'replica-cert'> {
	const cert = openRecord('replica-cert', envelope, ({ sigKey }) => [sigKey]);
	requirePeerProof(cert.body.replicaId, cert.body);
	return cert;
}

/** Throws `unauthorized` unless the certificate is what was asked for: what members check of a newcomer's certificate. */
export function requireAsRequested(
	cert: OpenedRecord<'replica-cert'>,
	csr: OpenedRecord<'csr'>,
	about: { readonly machineId: MachineId; readonly manifestCid: RecordCid },
): void {
	const { body } = cert;
	const { wid, slot, gen, incarnation, replicaId, sigKey, kemKey, awardId } = csr.body;
	const isAsRequested =
		body.csrCid === csr.cid &&
		body.wid === wid &&
		body.slot === slot &&
		body.gen === gen &&
		body.incarnation === incarnation &&
		body.replicaId === replicaId &&
		body.awardId === awardId &&
		sameBytes(body.sigKey, sigKey) &&
		sameBytes(body.kemKey, kemKey) &&
		body.machineId === about.machineId &&
		body.manifestCid === about.manifestCid;
	if (!isAsRequested)
		throw new MeshError('unauthorized', `the certificate of ${body.replicaId} is not what it asked to be admitted as`);
}

/** How an epoch names the holder of this certificate. */
export function entryOf(cert: Uint8Array) {
	const { cid, body } = peekRecord('replica-cert', cert);
	const { slot, gen, incarnation, sigKey } = body;
	return {
		...{ slot, gen, ...(incarnation === 0 ? {} : { incarnation }) },
		...{ certCid: cid, sigKeyId: keyIdOf(sigKey) },
	};
}
