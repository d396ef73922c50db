/** A workload with its owner's real signatures, and a client that places it and admits its replicas. */
import { randomBytes } from 'node:crypto';
import { openReasons, type PlaceEvent, type PlaceRequest } from '@beemesh/sdk/api';
import {
	certifyOwn,
	createKemKey,
	createKeyPair,
	createNodeKeys,
	createUlid,
	defaultAdmissionTerms,
	encodeManifest,
	genesisFor,
	type KeyPair,
	type NodeKeys,
	openAdmission,
	openCsr,
	openMachineCredential,
	openPapers,
	ownerIdOf,
	peekRecord,
	requestAdmission,
	sealBundle,
	signRecord,
	signTender,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import type {
	Award,
	Bundle,
	Charter,
	MachineId,
	Manifest,
	Requirements,
	SlotGen,
	Tender,
	WorkloadId,
} from '@beemesh/sdk/wire';
import { createTestRoot } from '../../mesh/test/root.ts';
import type { Scheduler } from '../index.ts';

const DAY_MS = 86_400_000;

export interface TestWorkload {
	readonly wid: WorkloadId;
	readonly charter: Charter;
	readonly bundle: Bundle;
	readonly tenderKey: KeyPair;
	/** Body of a tender, to be changed by a test before it is signed. */
	tender(requester: MachineId, slots: readonly SlotGen[], requirements?: Partial<Requirements>): Tender;
	sign(tender: Tender, key?: KeyPair): Uint8Array;
	request(
		requester: MachineId,
		slotCount: number,
		requirements?: Partial<Requirements>,
		keepTrying?: boolean,
	): PlaceRequest;
}

export function createWorkload(
	name = 'web',
	quota = 64,
	owner: KeyPair = createKeyPair(),
	env: readonly { readonly name: string; readonly value: string }[] = [],
	{ namespace = 'default', label = 'web' } = {},
): TestWorkload {
	const tenderKey = createKeyPair();
	const nowMs = Date.now();
	const genesis = genesisFor(owner.publicKey, 'Deployment', namespace, name);
	const wid = workloadIdOf(genesis);
	const ownerId = ownerIdOf(owner.publicKey);
	const template = {
		metadata: { labels: { app: label } },
		spec: { containers: [{ name: 'main', image: 'image', env }] },
	};
	const manifest: Manifest = {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name, namespace },
		spec: { replicas: 3, selector: { matchLabels: { app: label } }, template },
	} as unknown as Manifest;
	const { bytes, cid } = encodeManifest(manifest);
	const charter: Charter = {
		wid,
		owner: ownerId,
		era: 1,
		kind: 'Deployment',
		namespace,
		name,
		manifestCid: cid,
		replicas: 3,
		...defaultAdmissionTerms(3),
		deleted: false,
		nbf: nowMs - 1_000,
		exp: nowMs + DAY_MS,
	} as Charter;
	const grant = signRecord(
		'tender-grant',
		{ wid, owner: ownerId, tenderKey: tenderKey.publicKey, quota, exp: nowMs + DAY_MS },
		owner,
	);
	const bundle: Bundle = {
		genesis: signRecord('genesis', genesis, owner),
		charter: signRecord('charter', charter, owner),
		grant,
		manifest: bytes,
	};
	const tender: TestWorkload['tender'] = (requester, slots, requirements = {}) => {
		const ts = Date.now();
		return {
			tenderId: createUlid(ts),
			wid,
			grant,
			slots: slots.map(({ slot, gen }) => ({ slot, gen })),
			manifestCid: cid,
			requirements: {
				resources: { cpuMillis: 100, memoryBytes: 1024, diskBytes: 0 },
				nodeSelector: {},
				hostPorts: [],
				images: [],
				...requirements,
			},
			priority: 0,
			avoid: { hard: [], soft: [] },
			requester,
			requesterAddresses: [],
			ts,
			nonce: new Uint8Array(randomBytes(16)),
			exp: ts + 60_000,
		};
	};
	const sign: TestWorkload['sign'] = ({ nonce, ...body }, key = tenderKey) => signTender(body, nonce, key);
	return {
		wid,
		charter,
		bundle,
		tenderKey,
		tender,
		sign,
		request(requester, slotCount, requirements, keepTrying = false) {
			const slots = Array.from({ length: slotCount }, (_, slot) => ({ slot, gen: 1 }));
			return { tender: sign(tender(requester, slots, requirements)), keepTrying };
		},
	};
}

/** A replica's request for admission, with its host's statement. */
export function admissionOf(
	award: Award,
	host: NodeKeys,
	replica: NodeKeys = createNodeKeys(),
	charter: Charter = createWorkload().charter,
) {
	const { wid, slot, gen, awardId, manifestCid, machineId } = award;
	const at = { wid, slot, gen, incarnation: 0, awardId, addresses: [], ts: Date.now() };
	const opened = openCsr(requestAdmission(replica, at).envelope);
	const { envelope: csr, cid: csrCid } = opened;
	const cert = certifyOwn(charter, opened, { machineId, manifestCid }, replica.signer, Date.now());
	const body = { awardId, csrCid, manifestCid, machineId, ts: Date.now() };
	return { csr, cert, statement: signRecord('host-statement', body, host.signer), csrCid };
}

/** What `beectl` does: reads the events, seals the workload to the winners, admits whoever asks. */
export async function placeAndAdmit(
	scheduler: Scheduler,
	workload: TestWorkload,
	request: PlaceRequest,
	options: { readonly signal?: AbortSignal; readonly onEvent?: (event: PlaceEvent) => void } = {},
): Promise<PlaceEvent[]> {
	const events: PlaceEvent[] = [];
	const replies = createKemKey();
	for await (const told of scheduler.place(request, options.signal ?? new AbortController().signal)) {
		const event = openReasons(told, replies);
		events.push(event);
		options.onEvent?.(event);
		if (event.type === 'retender') {
			const first = peekRecord('tender', request.tender).body;
			const { tenderId, slots } = event;
			const { ts, exp, nonce } = workload.tender(first.requester, slots);
			scheduler.retender(workload.sign({ ...first, tenderId, slots, ts, exp, nonce }));
		}
		if (event.type === 'awarded') {
			const { awardId } = event;
			const winner = openMachineCredential(event.credential, createTestRoot().mesh, Date.now());
			scheduler.deliver({ awardId, sealed: sealBundle(workload.bundle, awardId, winner, replies) });
		}
		if (event.type !== 'csr') continue;
		const machine = openMachineCredential(event.credential, createTestRoot().mesh, Date.now());
		const papers = openPapers(event.papers, event.awardId, replies);
		const { csr } = openAdmission(papers.csr, event.statement, machine);
		// The host passes on what only the newcomer can open; here it can be anything.
		const sealed = papers.cert.slice(0, 64);
		await scheduler.admit({
			awardId: event.awardId,
			csrCid: csr.cid,
			answer: { admitted: true, sealed, members: [], foundingSlots: 0 },
		});
	}
	return events;
}

export function ofType<T extends PlaceEvent['type']>(
	events: readonly PlaceEvent[],
	type: T,
): Extract<PlaceEvent, { type: T }>[] {
	return events.filter((event): event is Extract<PlaceEvent, { type: T }> => event.type === type);
}
