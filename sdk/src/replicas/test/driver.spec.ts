import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { MeshError } from '../../errors.ts';
import {
	certifyMachine,
	certifyOwn,
	createKeyPair,
	createMesh,
	createNodeKeys,
	createPeerKey,
	createUlid,
	defaultAdmissionTerms,
	encodeManifest,
	genesisFor,
	isSealedReason,
	type NodeKeys,
	type OpenedBundle,
	openBundle,
	openCsr,
	openMachineCredential,
	openReason,
	openReplicaCert,
	openSealedBundle,
	openTender,
	ownerIdOf,
	type ReplicaPapers,
	requestAdmission,
	sealPapers,
	signRecord,
	workloadIdOf,
} from '../../identity/index.ts';
import type { MachineId, Manifest, ReplicaId, SlotGen } from '../../wire/index.ts';
import { type LiveReplica, ReplicaDriver, type ReplicaWorld } from '../driver.ts';
import type { AdmitRequest, DeliverRequest, PlaceEvent, PlaceRequest } from '../placement-api.ts';

const HOST = createPeerKey().peerId as MachineId;
const OTHER_HOSTS = [1, 2].map(() => createPeerKey().peerId as MachineId);
const root = createKeyPair();
const mesh = createMesh('test', root, Date.now());

function credentialOf({ peer, signer, kem }: NodeKeys, labels: Record<string, string> = {}): Uint8Array {
	const keys = { machineId: peer.peerId as MachineId, sigKey: signer.publicKey, kemKey: kem.publicKey };
	return certifyMachine({ mesh: mesh.cid, ...keys, caps: [], labels, serial: 1, nbf: Date.now() }, root);
}

const tenderKey = createKeyPair();

function makeBundle(replicas: number, nodeSelector: Record<string, string> = {}): OpenedBundle {
	const owner = createKeyPair();
	const genesis = genesisFor(owner.publicKey, 'Deployment', 'default', 'web');
	const wid = workloadIdOf(genesis);
	const manifest: Manifest = {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default' },
		spec: {
			selector: { matchLabels: {} },
			template: { spec: { nodeSelector, containers: [{ name: 'web', image: 'web:1' }] } },
		},
	};
	const { bytes, cid } = encodeManifest(manifest);
	const id = ownerIdOf(owner.publicKey);
	const nowMs = Date.now();
	const charter = {
		...{ wid, owner: id, era: 1, kind: 'Deployment' as const, namespace: 'default', name: 'web', manifestCid: cid },
		...defaultAdmissionTerms(replicas),
		...{ replicas, deleted: false, nbf: nowMs, exp: nowMs + 3_600_000 },
	} as const;
	const grant = { wid, owner: id, tenderKey: tenderKey.publicKey, quota: 9, exp: nowMs + 3_600_000 };
	return openBundle(
		{
			genesis: signRecord('genesis', genesis, owner),
			charter: signRecord('charter', charter, owner),
			grant: signRecord('tender-grant', grant, owner),
			manifest: bytes,
		},
		nowMs,
	);
}

/** A pod's request; it is sealed when the workload has been delivered, which says to whom. */
type Pod = Omit<Extract<PlaceEvent, { type: 'csr' }>, 'type' | 'papers'> & ReplicaPapers & { readonly type: 'pod' };
const winners = new Map<string, NodeKeys>();

function pod(bundle: OpenedBundle, at: SlotGen, awardId: string, machine: NodeKeys): Pod {
	const nowMs = Date.now();
	const request = { ...at, wid: bundle.wid, incarnation: 0, awardId, addresses: [], ts: nowMs };
	const keys = createNodeKeys();
	const opened = openCsr(requestAdmission(keys, request).envelope);
	const { envelope: csr, cid: csrCid } = opened;
	const machineId = machine.peer.peerId as MachineId;
	const { manifestCid } = bundle.charter.body;
	const body = { awardId, csrCid, manifestCid, machineId, ts: nowMs };
	const statement = signRecord('host-statement', body, machine.signer);
	const cert = certifyOwn(bundle.charter.body, opened, { machineId, manifestCid }, keys.signer, nowMs);
	return { type: 'pod', ...at, awardId, csr, cert, statement, credential: credentialOf(machine) };
}

function awarded(at: SlotGen, awardId: string, machine: NodeKeys): Extract<PlaceEvent, { type: 'awarded' }> {
	const machineId = machine.peer.peerId as MachineId;
	winners.set(awardId, machine);
	return { type: 'awarded', ...at, machineId, awardId, credential: credentialOf(machine) };
}

/** A host that plays a script; the test sees what the driver asks for and answers. */
class ScriptedHost {
	readonly asked: PlaceRequest[] = [];
	readonly answers: AdmitRequest[] = [];
	readonly delivered: DeliverRequest[] = [];
	readonly tenders: Uint8Array[] = [];
	readonly admitted: SlotGen[] = [];
	refuseAdmission: MeshError | undefined;
	script: (request: PlaceRequest) => AsyncIterable<PlaceEvent> = async function* () {};
	live: LiveReplica[] = [];
	readonly #onAnswer: (() => void)[] = [];
	#onDelivery: (() => void) | undefined;

	readonly bundle: OpenedBundle;

	constructor(bundle: OpenedBundle) {
		this.bundle = bundle;
	}

	/** As the winner's host sends it. */
	async sealed({ csr, cert, ...event }: Pod): Promise<PlaceEvent> {
		const { awardId } = event;
		while (!this.delivered.some((delivery) => delivery.awardId === awardId))
			await new Promise<void>((resolve) => (this.#onDelivery = resolve));
		const { sealed } = this.delivered.find((delivery) => delivery.awardId === awardId) as DeliverRequest;
		const { replyKey } = openSealedBundle(sealed, awardId, (winners.get(awardId) as NodeKeys).kem);
		return { ...event, type: 'csr', papers: sealPapers({ csr, cert }, awardId, replyKey) };
	}

	answered(count: number): Promise<void> {
		return new Promise((resolve) => {
			const look = (): void => {
				if (this.answers.length >= count) resolve();
			};
			this.#onAnswer.push(look);
			look();
		});
	}

	world(): ReplicaWorld {
		return {
			calls: () => ({
				place: (request) => {
					this.asked.push(request);
					return this.script(request);
				},
				retender: async ({ tender }) => {
					this.tenders.push(tender);
					return {};
				},
				deliver: async (request) => {
					this.delivered.push(request);
					this.#onDelivery?.();
					return {};
				},
				admit: async (request) => {
					this.answers.push(request);
					for (const look of this.#onAnswer) look();
					return {};
				},
			}),
			bundle: () => this.bundle,
			machineId: HOST,
			machine: (credential) => openMachineCredential(credential, mesh, Date.now()),
			machineAddresses: [],
			live: () => this.live,
			isChangingMembers: () => false,
			generations: () =>
				new Map([
					[0, 1],
					[1, 1],
				]),
			drain: () => {},
			admit: async (papers) => {
				if (this.refuseAdmission !== undefined) throw this.refuseAdmission;
				const { slot, gen } = openReplicaCert(papers.cert).body;
				this.admitted.push({ slot, gen });
				return papers.cert.slice(0, 8);
			},
			tenderKey: tenderKey,
			onReconcile: () => {},
		};
	}
}

describe('healing through the host', () => {
	let driver: ReplicaDriver | undefined;
	afterEach(() => driver?.close());

	/** A workload of two whose slot 1 has just said farewell; resolves with the first `answers` admissions. */
	async function heal(
		host: ScriptedHost,
		events: (at: SlotGen) => (PlaceEvent | Pod)[],
		answers: number,
	): Promise<readonly AdmitRequest['answer'][]> {
		const replica = (slot: number): LiveReplica => ({
			replicaId: `replica-${slot}` as ReplicaId,
			...{ slot, gen: 1, manifestCid: host.bundle.charter.body.manifestCid, ready: true, leaving: false },
			machineId: OTHER_HOSTS[slot] as MachineId,
			addresses: [`/memory/${slot}`],
		});
		host.script = async function* () {
			for (const event of events({ slot: 1, gen: 2 })) yield event.type === 'pod' ? await host.sealed(event) : event;
			await host.answered(answers);
		};
		driver = new ReplicaDriver(host.world());
		host.live = [replica(0), replica(1)];
		driver.setResponsible(true);
		driver.observe();
		host.live = [replica(0)];
		driver.lost(1, 'left');
		driver.observe();
		await host.answered(answers);
		return host.answers.map(({ awardId, answer }) => {
			const { kem } = winners.get(awardId) as NodeKeys;
			return answer.admitted ? answer : { ...answer, reason: openReason(answer.reason, kem) };
		});
	}

	it('tenders with the granted key, and admits the awarded pod', async () => {
		const bundle = makeBundle(2);
		const host = new ScriptedHost(bundle);
		const machine = createNodeKeys();
		const awardId = createUlid(Date.now());
		const [answer] = await heal(host, (at) => [awarded(at, awardId, machine), pod(bundle, at, awardId, machine)], 1);
		const { tender } = openTender(host.asked[0]?.tender as Uint8Array, Date.now());
		expect(tender.body.slots).to.deep.equal([{ slot: 1, gen: 2 }]);
		expect(tender.body.requester).to.equal(HOST);
		expect(tender.body.avoid.soft).to.deep.equal([{ machineId: OTHER_HOSTS[0], replicas: 1 }]);
		expect(host.admitted).to.deep.equal([{ slot: 1, gen: 2 }]);
		if (!answer?.admitted) throw new Error('not admitted');
		expect(answer.sealed).to.have.length(8);
		expect(answer.members.map(({ slot }) => slot)).to.deep.equal([0]);
		expect(answer.foundingSlots).to.equal(0);
	});

	it('gives the same request the same answer, and refuses a second request under one award', async () => {
		const bundle = makeBundle(2);
		const machine = createNodeKeys();
		const awardId = createUlid(Date.now());
		const answers = await heal(
			new ScriptedHost(bundle),
			(at) => {
				const first = pod(bundle, at, awardId, machine);
				return [awarded(at, awardId, machine), first, first, pod(bundle, at, awardId, machine)];
			},
			3,
		);
		const admitted = answers.filter((a) => a.admitted);
		expect(admitted).to.have.length(2);
		expect(admitted[0]).to.deep.equal(admitted[1]);
		expect(answers.find((a) => !a.admitted)).to.deep.include({ reason: 'another replica has asked under this award' });
	});

	it('seals the workload to the winner alone, and to no machine that is not of the mesh or not the winner', async () => {
		const bundle = makeBundle(2);
		const host = new ScriptedHost(bundle);
		const [winner, other] = [createNodeKeys(), createNodeKeys()];
		const stranger = { ...awarded({ slot: 1, gen: 2 }, createUlid(Date.now()), other) };
		const strangers = createMesh('other', createKeyPair(), Date.now());
		const keys = { machineId: stranger.machineId, sigKey: other.signer.publicKey, kemKey: other.kem.publicKey };
		const terms = { mesh: strangers.cid, ...keys, caps: [], labels: {}, serial: 1, nbf: Date.now() };
		const awardId = createUlid(Date.now());
		await heal(
			host,
			(at) => [
				{ ...stranger, credential: certifyMachine(terms, createKeyPair()) },
				{ ...awarded(at, createUlid(Date.now()), other), credential: credentialOf(winner) },
				awarded(at, awardId, winner),
				pod(bundle, at, awardId, winner),
			],
			1,
		);
		expect(host.asked[0]).to.have.keys('tender', 'keepTrying');
		expect(host.delivered.map((delivery) => delivery.awardId)).to.deep.equal([awardId]);
		const { sealed } = host.delivered[0] as DeliverRequest;
		expect(openSealedBundle(sealed, awardId, winner.kem).bundle).to.deep.equal(bundle.bundle);
		expect(() => openSealedBundle(sealed, awardId, other.kem))
			.to.throw()
			.with.property('code', 'unauthorized');
		expect(() => openSealedBundle(sealed, createUlid(Date.now()), winner.kem)).to.throw('another award');
	});

	it('is kept from a machine whose certificate does not meet the nodeSelector, though its host names it the winner', async () => {
		const label = 'self-declared.beemesh.io/disk';
		const bundle = makeBundle(2, { trusted: 'true', [label]: 'ssd' });
		const host = new ScriptedHost(bundle);
		const [liar, winner] = [createNodeKeys(), createNodeKeys()];
		const awardId = createUlid(Date.now());
		const credential = credentialOf(winner, { trusted: 'true' });
		await heal(
			host,
			(at) => [
				awarded(at, createUlid(Date.now()), liar),
				{ ...awarded(at, createUlid(Date.now()), liar), credential: credentialOf(liar, { [label]: 'ssd' }) },
				{ ...awarded(at, awardId, winner), credential },
				{ ...pod(bundle, at, awardId, winner), credential },
			],
			1,
		);
		expect(host.delivered.map((delivery) => delivery.awardId)).to.deep.equal([awardId]);
	});

	it('signs the tender again for the slots that are left', async () => {
		const bundle = makeBundle(2);
		const host = new ScriptedHost(bundle);
		const machine = createNodeKeys();
		const [tenderId, awardId] = [createUlid(Date.now()), createUlid(Date.now())];
		await heal(
			host,
			(at) => [
				{ type: 'retender', tenderId, slots: [at] },
				awarded(at, awardId, machine),
				pod(bundle, at, awardId, machine),
			],
			1,
		);
		const { tender } = openTender(host.tenders[0] as Uint8Array, Date.now());
		expect(tender.body).to.deep.include({ tenderId, slots: [{ slot: 1, gen: 2 }], requester: HOST });
	});

	for (const [what, change] of [
		['another machine', { machine: createNodeKeys() }],
		['another slot', { at: { slot: 0, gen: 2 } }],
		['another generation', { at: { slot: 1, gen: 3 } }],
	] as const)
		it(`refuses a pod of ${what} than the awarded one`, async () => {
			const bundle = makeBundle(2);
			const host = new ScriptedHost(bundle);
			const machine = createNodeKeys();
			const awardId = createUlid(Date.now());
			const [answer] = await heal(
				host,
				(at) => {
					const { at: other, machine: stranger } = { at, machine, ...change };
					return [awarded(at, awardId, machine), pod(bundle, other, awardId, stranger)];
				},
				1,
			);
			expect(answer?.admitted).to.equal(false);
			// The host between, which carries the answer, is not told why.
			expect(host.answers).to.have.length(1);
			for (const { answer: carried } of host.answers)
				expect(carried.admitted === false && isSealedReason(carried.reason)).to.equal(true);
			expect(host.admitted).to.deep.equal([]);
		});

	it('admits nobody whom the members did not agree on', async () => {
		const bundle = makeBundle(2);
		const host = new ScriptedHost(bundle);
		host.refuseAdmission = new MeshError('no_quorum', 'no majority of the members answers');
		const machine = createNodeKeys();
		const awardId = createUlid(Date.now());
		const [answer] = await heal(host, (at) => [awarded(at, awardId, machine), pod(bundle, at, awardId, machine)], 1);
		expect(answer).to.deep.equal({ admitted: false, reason: 'no majority of the members answers' });
	});
});
