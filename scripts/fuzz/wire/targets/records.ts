/** Every type of signed record, opened the way that its receivers open it; and what the holder of a key can sign. */

import { inspectBytes } from '../../../../beectl/src/inspect/inspect.ts';
import { introductionOf, openIntroduction, peekIntroduction } from '../../../../hostd/src/mesh/hello.ts';
import { leaseKey, newestLease, openLease } from '../../../../hostd/src/mesh/lease.ts';
import { createTenderGate } from '../../../../hostd/src/scheduler/gate.ts';
import {
	bytesToSign,
	EpochChain,
	MachineTrust,
	openAdmission,
	openCharter,
	openCsr,
	openEnrolmentRequest,
	openGrant,
	openMachineCredential,
	openMesh,
	openOwnedCharter,
	openOwnerRoot,
	openRecord,
	openReplicaCert,
	openTender,
	openWorkloadEnd,
	peekMachineCert,
	peekRecord,
	type Signer,
} from '../../../../sdk/src/identity/index.ts';
import { concat } from '../../../../sdk/src/wire/bytes.ts';
import { decodeRecord, encodeRecord, RECORDS, type RecordType } from '../../../../sdk/src/wire/index.ts';
import { type Corpus, NOW_MS, partsOf } from '../corpus.ts';
import { type Accepted, codes, MADE_OF_NOTHING, recordCodes, type Target } from '../target.ts';

type Open = (envelope: Uint8Array) => readonly { readonly envelope: Uint8Array }[];

/** The envelopes that opening this one believes. */
function openers(corpus: Corpus): Readonly<Record<RecordType, Open>> {
	const { trust, opened, enroller, mesh, wid, owner, csr, records, epochs } = corpus;
	const rootKey = [mesh.body.rootKey];
	const key = leaseKey(peekRecord('lease', records.lease).body);
	return {
		'mesh-genesis': (bytes) => [openMesh(bytes)],
		enroller: (bytes) => [openRecord('enroller', bytes, rootKey)],
		'machine-cert': (bytes) => [openRecord('machine-cert', bytes, rootKey)],
		'machine-renewal': (bytes) => [openRecord('machine-renewal', bytes, [enroller.signer.publicKey])],
		'machine-csr': (bytes) => [openEnrolmentRequest(bytes)],
		'mesh-epoch': (bytes) => [openRecord('mesh-epoch', bytes, rootKey)],
		'owner-root': (bytes) => [openOwnerRoot(bytes)],
		genesis: (bytes) => [openRecord('genesis', bytes)],
		charter: (bytes) => [openCharter(bytes, wid, owner.publicKey, NOW_MS)],
		'tender-grant': (bytes) => [openGrant(bytes, NOW_MS)],
		tender: (bytes) => Object.values(openTender(bytes, NOW_MS)),
		award: (bytes) => [trust.openAward(bytes, NOW_MS)],
		lease: (bytes) => {
			openLease(key, bytes, trust, NOW_MS);
			return [{ envelope: bytes }];
		},
		csr: (bytes) => [openCsr(bytes)],
		'host-statement': (bytes) => Object.values(openAdmission(csr.envelope, bytes, opened)),
		'replica-cert': (bytes) => [openReplicaCert(bytes)],
		epoch: (bytes) => [peekRecord('epoch', bytes).verifyAll([owner.publicKey])],
		'service-record': (bytes) => [openRecord('service-record', bytes, [epochs.first.keys.signer.publicKey])],
		presence: (bytes) => [trust.open('presence', bytes, NOW_MS)],
		'workload-end': (bytes) => [openWorkloadEnd(bytes, NOW_MS)],
	};
}

export function recordTargets(corpus: Corpus): Target[] {
	const open = openers(corpus);
	const targets = (Object.keys(RECORDS) as RecordType[]).map(
		(type): Target => ({
			name: `record ${type}`,
			weight: 30,
			form: 'cbor',
			samples: [corpus.records[type]],
			refuses: recordCodes,
			accept: (bytes) => ({ proved: open[type](bytes).map(({ envelope }) => envelope) }),
		}),
	);
	return [...targets, credentials(corpus), dagCbor(corpus), ...signedAnew(corpus, open)];
}

function credentials({ credential, renewed, mesh }: Corpus): Target {
	return {
		name: 'machine credential',
		weight: 40,
		form: 'cbor',
		samples: [credential, renewed],
		refuses: recordCodes,
		accept(bytes) {
			peekMachineCert(bytes);
			openMachineCredential(bytes, mesh, NOW_MS);
			return { proved: partsOf(bytes) };
		},
	};
}

function dagCbor({ records }: Corpus): Target {
	return {
		name: 'strict DAG-CBOR',
		weight: 60,
		form: 'cbor',
		samples: Object.values(records),
		refuses: recordCodes,
		accept: (bytes) => ({ canonical: encodeRecord(decodeRecord(bytes)) }),
	};
}

/** Bodies that are altered and signed again: by those who may sign, so that only sense is left to check. */
function signedAnew(corpus: Corpus, open: Readonly<Record<RecordType, Open>>): Target[] {
	const { root, enroller, machine, replica, owner, tenderKey, epochs } = corpus;
	const signers: Readonly<Record<RecordType, Signer>> = {
		...{ 'mesh-genesis': root, enroller: root, 'machine-cert': root, 'machine-renewal': enroller.signer },
		...{ 'machine-csr': machine.signer, 'mesh-epoch': root, 'owner-root': owner, genesis: owner, charter: owner },
		...{ 'tender-grant': owner, tender: tenderKey, award: machine.signer, lease: machine.signer, csr: replica.signer },
		...{ 'host-statement': machine.signer, 'replica-cert': epochs.first.keys.signer, epoch: owner },
		...{ 'service-record': epochs.first.keys.signer, presence: machine.signer, 'workload-end': owner },
	};
	const deeper = insiders(corpus);
	return (Object.keys(RECORDS) as RecordType[]).map((type): Target => {
		const { b, s } = decodeRecord(corpus.records[type]) as Envelope;
		const context = bytesToSign(type, peekRecord(type, corpus.records[type]).body);
		const prefix = context.subarray(0, context.byteLength - b.byteLength);
		return {
			name: `signed anew ${type}`,
			weight: 1,
			form: 'cbor',
			samples: [b],
			refuses: codes('invalid_input', 'unauthorized', 'conflict', 'not_found', 'exhausted'),
			accept(body): Accepted {
				const k = s[0]?.k;
				const envelope = encodeRecord({ b: body, s: [{ k, s: signers[type].sign(concat(prefix, body)) }] });
				inspectBytes(envelope, 'it', { meshes: [corpus.mesh], nowMs: NOW_MS });
				const found = deeper[type] ?? open[type];
				found(envelope);
				return MADE_OF_NOTHING;
			},
		};
	});
}

/** Where more is made of a record than that its signature holds. */
function insiders(corpus: Corpus): Readonly<Partial<Record<RecordType, (envelope: Uint8Array) => void>>> {
	const { mesh, epoch, credential, renewed, delegation, records, epochs, machineId } = corpus;
	const [cert, renewal] = partsOf(renewed);
	const open = (parts: object): void => void openMachineCredential(encodeRecord(parts), mesh, NOW_MS);
	const trusting = (): MachineTrust => {
		const trust = new MachineTrust(mesh, epoch);
		trust.learn(credential, NOW_MS);
		return trust;
	};
	const grown = (): EpochChain => EpochChain.from(epochs.workload.charter, epochs.chain.linksSince(-1), NOW_MS);
	return {
		'machine-cert': (envelope) => {
			open({ cert: envelope });
			open({ cert: envelope, renewal: { renewal, enroller: delegation } });
		},
		'machine-renewal': (envelope) => open({ cert, renewal: { renewal: envelope, enroller: delegation } }),
		enroller: (envelope) => open({ cert, renewal: { renewal, enroller: envelope } }),
		'mesh-epoch': (envelope) => void trusting().offerEpoch(envelope),
		charter: (envelope) => {
			const charter = openOwnedCharter(envelope, corpus.owner.publicKey, NOW_MS);
			const chain = grown();
			chain.takeCharter(charter);
			chain.offer([epochs.next], NOW_MS);
			EpochChain.from(charter, [epochs.founding, epochs.next], NOW_MS);
		},
		tender: (envelope) => {
			const admitted = createTenderGate({ startedAtMs: 0 }).admit(envelope, machineId, NOW_MS);
			if ('error' in admitted) throw admitted.error;
		},
		presence: (envelope) => {
			openIntroduction(peekIntroduction(introductionOf(envelope, credential)), trusting(), NOW_MS);
		},
		'replica-cert': (envelope) => {
			openReplicaCert(envelope);
			grown().draft([{ type: 'renew', cert: envelope }], { tsMs: NOW_MS });
		},
		epoch: (envelope) => {
			const chain = grown();
			chain.offer([{ epoch: envelope, certs: [...epochs.founding.certs, ...epochs.next.certs] }], NOW_MS);
			chain.offer([epochs.next], NOW_MS);
		},
		lease: (envelope) => {
			newestLease([records.lease, envelope]);
			openLease(leaseKey(peekRecord('lease', envelope).body), envelope, trusting(), NOW_MS);
		},
	};
}

interface Envelope {
	readonly b: Uint8Array;
	readonly s: readonly { readonly k: Uint8Array; readonly s: Uint8Array }[];
}
