/**
 * A mesh, an owner and a workload with everything that they sign, made by the builders that the product uses. Signing
 * draws randomness, so two corpora differ in the bytes of keys and signatures, and in nothing that cases depend on.
 */
import { createHash } from 'node:crypto';
import { createEpochWorkload, signedLink } from '../../../sdk/src/identity/epochs/test/workload.ts';
import {
	createKemKey,
	createKeyring,
	createNodeKeys,
	createUlid,
	keyringIdOf,
	MachineTrust,
	openCsr,
	openMachineCredential,
	ownerIdOf,
	peekRecord,
	renewMachine,
	requestAdmission,
	requestEnrolment,
	signRecord,
	signWorkloadEnd,
} from '../../../sdk/src/identity/index.ts';
import { createTestMesh, createWorkload, DAY_MS, HOUR_MS, NOW_MS } from '../../../sdk/src/identity/test/fixtures.ts';
import {
	decodeRecord,
	type EpochLink,
	type MachineId,
	type RecordBody,
	type RecordType,
	type ReplicaId,
} from '../../../sdk/src/wire/index.ts';

export { NOW_MS };
export const AWARD_ID = createUlid(NOW_MS);
const TENDER_ID = createUlid(NOW_MS);

export type Corpus = ReturnType<typeof createCorpus>;

export function createCorpus() {
	const authentic = new Authentic();
	const { note } = authentic;
	/** As one envelope among those that may be believed. */
	const sign = <T extends RecordType>(type: T, body: RecordBody<T>, signer: Parameters<typeof signRecord>[2]) =>
		note(signRecord(type, body, signer));

	const [machine, enroller, replica] = [createNodeKeys(), createNodeKeys(), createNodeKeys()];
	const machineId = machine.peer.peerId as MachineId;
	const test = createTestMesh();
	const { root, mesh } = test;
	note(mesh.envelope);
	const keyring = createKeyring();
	const epoch = note(test.epochAfter(undefined, { keyringId: keyringIdOf(keyring) }));
	const epochAfter = note(
		test.epochAfter(epoch, { revoked: [enroller.peer.peerId as MachineId], keyringId: keyringIdOf(keyring) }),
	);
	const delegation = note(test.delegationTo(enroller));
	const credential = test.credentialOf(machine);
	const opened = openMachineCredential(credential, mesh, NOW_MS);
	const renewed = renewMachine(
		opened,
		{ delegation, signer: enroller.signer },
		{ nbf: NOW_MS - HOUR_MS, exp: NOW_MS + DAY_MS },
	);
	for (const part of [...partsOf(credential), ...partsOf(renewed)]) note(part);
	const trust = new MachineTrust(mesh, epoch);
	trust.learn(credential, NOW_MS);

	const workload = createWorkload(undefined, { exp: NOW_MS + 365 * DAY_MS, slotsMax: 8, replicas: 3 });
	const { owner, tenderKey, wid, bundle } = workload;
	const ownerId = ownerIdOf(owner.publicKey);
	for (const part of [bundle.genesis, bundle.charter, bundle.grant]) note(part);
	const charter = peekRecord('charter', bundle.charter);
	const ownerKem = createKemKey();
	const resources = { cpuMillis: 500, memoryBytes: 64 * 2 ** 20, diskBytes: 2 ** 30 };

	const about = { wid, slot: 1, gen: 1, awardId: AWARD_ID } as const;
	const request = requestAdmission(replica, { ...about, incarnation: 0, addresses: ['/ip4/192.0.2.1'], ts: NOW_MS });
	const csr = openCsr(note(request.envelope));
	const records = {
		'mesh-genesis': mesh.envelope,
		enroller: delegation,
		'machine-cert': partsOf(credential)[0] as Uint8Array,
		'machine-renewal': partsOf(renewed)[1] as Uint8Array,
		'machine-csr': note(requestEnrolment(machine, { name: 'attic', labels: { zone: 'attic' } }, NOW_MS)),
		'mesh-epoch': epochAfter,
		'owner-root': sign(
			'owner-root',
			{ owner: ownerId, sigKey: owner.publicKey, kemKey: ownerKem.publicKey, createdMs: NOW_MS },
			owner,
		),
		genesis: bundle.genesis,
		charter: bundle.charter,
		'tender-grant': bundle.grant,
		tender: sign(
			'tender',
			{
				...{ tenderId: TENDER_ID, wid, grant: bundle.grant, slots: [{ slot: 1, gen: 1 }], priority: 0 },
				manifestCid: charter.body.manifestCid,
				requirements: { resources, nodeSelector: { zone: 'attic' }, hostPorts: [], images: ['web:1'] },
				avoid: { hard: [machineId], soft: [{ machineId, replicas: 1 }] },
				...{ requester: machineId, requesterAddresses: ['/ip4/192.0.2.1/udp/4700/quic-v1'] },
				...{ ts: NOW_MS, exp: NOW_MS + 10_000, nonce: new Uint8Array(16).fill(7) },
			},
			tenderKey,
		),
		award: sign(
			'award',
			{
				...{ ...about, tenderId: TENDER_ID, machineId, requester: machineId },
				...{ manifestCid: charter.body.manifestCid, ts: NOW_MS, exp: NOW_MS + 120_000 },
			},
			machine.signer,
		),
		lease: sign('lease', { ...about, machineId, renewNonce: 3, ts: NOW_MS }, machine.signer),
		csr: request.envelope,
		'host-statement': sign(
			'host-statement',
			{ awardId: AWARD_ID, csrCid: csr.cid, manifestCid: charter.body.manifestCid, machineId, ts: NOW_MS },
			machine.signer,
		),
		presence: sign(
			'presence',
			{
				...{ machineId, name: 'attic', addresses: ['/ip4/192.0.2.1/udp/4700/quic-v1'], labels: { zone: 'attic' } },
				...{ runtime: 'podman', version: '0.1.0', capacity: resources, free: resources, pods: 3, leaving: false },
				...{ seq: NOW_MS, ts: NOW_MS, exp: NOW_MS + 15_000 },
			},
			machine.signer,
		),
		'workload-end': note(signWorkloadEnd(charter.body, owner, NOW_MS)),
	};

	const members = createEpochWorkload({}, owner);
	const [first, second] = [members.replica(0), members.replica(1)];
	const founding = members.foundingLink([first, second]);
	const chain = members.found([first, second]);
	for (const link of chain.linksSince(-1)) noteLink(authentic, link);
	noteLink(authentic, founding);
	const third = members.replica(2);
	const next = signedLink(
		chain.draft([{ type: 'admit', cert: third.cert(NOW_MS) }], { tsMs: NOW_MS }),
		[first, second].slice(0, chain.signaturesNeeded),
	);
	noteLink(authentic, next);
	const cert = founding.certs[0] as Uint8Array;
	const { body: member } = peekRecord('replica-cert', cert);
	const service = sign(
		'service-record',
		{
			...{ wid: member.wid, replicaId: member.replicaId as ReplicaId, slot: 0, gen: 1, incarnation: 0 },
			...{ machineId: member.machineId, addresses: ['/ip4/192.0.2.1/udp/4700'], services: ['kv@1.0.0'] },
			...{ version: '0.1.0', manifestCid: member.manifestCid, ready: true, leaving: false, left: false },
			...{ seq: 1_000, ts: NOW_MS, exp: NOW_MS + 15_000 },
		},
		first.keys.signer,
	);

	return {
		authentic,
		...{ machine, machineId, enroller, replica, root, mesh, epoch, keyring, delegation, credential, renewed, trust },
		...{ opened, owner, ownerId, ownerKem, tenderKey, wid, bundle, charter, csr, resources },
		records: { ...records, 'replica-cert': cert, epoch: founding.epoch, 'service-record': service },
		epochs: { workload: members, chain, founding, next, first, cert, service },
	};
}

/** Envelopes that were really signed; what else is believed is a finding. */
export class Authentic {
	readonly #digests = new Set<string>();

	readonly note = (bytes: Uint8Array): Uint8Array => {
		this.#digests.add(digestOf(bytes));
		return bytes;
	};

	has(bytes: Uint8Array): boolean {
		return this.#digests.has(digestOf(bytes));
	}
}

/** Envelopes in a machine's credential: its certificate, and the renewal with its delegation. */
export function partsOf(credential: Uint8Array): Uint8Array[] {
	const { cert, renewal } = decodeRecord(credential) as {
		readonly cert: Uint8Array;
		readonly renewal?: { readonly renewal: Uint8Array; readonly enroller: Uint8Array };
	};
	return renewal === undefined ? [cert] : [cert, renewal.renewal, renewal.enroller];
}

function digestOf(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('base64');
}

function noteLink({ note }: Authentic, { epoch, certs }: EpochLink): void {
	note(epoch);
	for (const cert of certs) note(cert);
}
