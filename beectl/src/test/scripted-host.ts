/**
 * The other side of an owner's session, small and scripted: one machine that takes what is placed on it. Keys, records,
 * signatures, socket and sessions are real; the scheduler and the pods are not.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import {
	HostApi,
	hostOwnerIdentity,
	OWNER_SESSION,
	type OwnerPrincipal,
	type PodStatus,
	readAsk,
	refusal,
	writeAnswer,
} from '@beemesh/hostd/api';
import type { AdmitRequest, PlaceEvent, PlaceRequest } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import {
	certifyMachine,
	certifyOwn,
	createKeyPair,
	createMesh,
	createNodeKeys,
	createUlid,
	type KeyPair,
	type NodeKeys,
	type OpenedBundle,
	type OpenedMesh,
	type OpenedRecord,
	openBundle,
	openCsr,
	openReason,
	openRecord,
	openSealedAdmission,
	openSealedBundle,
	openTender,
	openWorkloadEnd,
	peekRecord,
	requestAdmission,
	sealPapers,
	signRecord,
} from '@beemesh/sdk/identity';
import { type ByteStream, createServices, listenUnix, openSession, secureStream } from '@beemesh/sdk/streams';
import {
	type AdmissionAnswer,
	type Charter,
	type Csr,
	decodeRecord,
	type MachineId,
	type OwnerId,
	type Presence,
	type ReplicaId,
	type WorkloadId,
} from '@beemesh/sdk/wire';

/** A client that has something to deliver does it in milliseconds. */
const NO_DELIVERY_MS = 1_000;

export interface ScriptedHost extends AsyncDisposable {
	readonly socket: string;
	readonly machineId: MachineId;
	readonly root: KeyPair;
	mesh: OpenedMesh;
	/** What it shows for the winners of awards, and for the machines of replicas that want to join. */
	winner: Uint8Array;
	credential: Uint8Array;
	/** Epochs it was given, and the keyrings that came with them. */
	readonly epochs: OpenedRecord<'mesh-epoch'>[];
	readonly keyrings: unknown[];
	/** Why no slot is taken; empty: all are. */
	starveWith: string;
	/** This many replicas fail after they were admitted; the others heal them in the next generation. */
	failFirst: number;
	/** What a placed pod says of itself. */
	podIsReady: boolean;
	/** Changes a request for admission before it is signed. */
	forge: <T extends Omit<Csr, 'replicaId' | 'sigKey' | 'kemKey' | 'peerProof'>>(csr: T) => T;
	readonly admissions: AdmitRequest['answer'][];
	readonly placements: PlaceRequest[];
	/** What was sealed to it, one for each placement. */
	readonly bundles: OpenedBundle[];
	readonly charters: Charter[];
	/** Replicas that were admitted, and what they were told. */
	readonly members: { readonly keys: NodeKeys; readonly told: AdmissionAnswer }[];
	/** What members have left here, sealed. */
	rosters: Uint8Array[];
	/** What was given to members, sealed. */
	readonly checkpoints: Uint8Array[];
	/** What members do with a checkpoint. */
	onCheckpoint: (wid: WorkloadId, sealed: Uint8Array) => void;
	/** Workloads that were said to be over. */
	readonly ended: WorkloadId[];
	/** Who has called. */
	readonly owners: Set<OwnerId>;
	readonly workloads: Map<WorkloadId, { charter: Uint8Array; manifest: Uint8Array; pods: PodStatus[] }>;
	/** Hosts that it lists and cannot reach. */
	silent: MachineId[];
	/** Hosts that it lists and carries sessions to. */
	readonly reaches: Map<MachineId, ScriptedHost>;
	/** Answers in place of every host that it is to reach. */
	poses: boolean;
	readonly name: string;
	/** Serves an owner's session on this stream. */
	accept(stream: ByteStream): Promise<void>;
}

/** A mesh of its own, unless it is given a root. */
export async function startScriptedHost(
	socket: string,
	name = 'bee-1',
	root: KeyPair = createKeyPair(),
	mesh: OpenedMesh = createMesh('test', root, Date.now()),
): Promise<ScriptedHost> {
	const machine = createNodeKeys();
	const machineId = machine.peer.peerId as MachineId;
	const answers = new Map<string, (request: AdmitRequest) => void>();
	const deliveries = new Map<string, (sealed: Uint8Array) => void>();
	const services = createServices<OwnerPrincipal>();
	const shown = credentialOf(machine, mesh, root);
	const host = {
		socket,
		machineId,
		starveWith: '',
		failFirst: 0,
		podIsReady: true,
		root,
		mesh,
		winner: shown,
		credential: shown,
		epochs: [] as OpenedRecord<'mesh-epoch'>[],
		keyrings: [] as unknown[],
		forge: <T>(csr: T) => csr,
		admissions: [] as AdmitRequest['answer'][],
		placements: [] as PlaceRequest[],
		bundles: [] as OpenedBundle[],
		charters: [] as Charter[],
		members: [] as { readonly keys: NodeKeys; readonly told: AdmissionAnswer }[],
		rosters: [] as Uint8Array[],
		checkpoints: [] as Uint8Array[],
		onCheckpoint: (_wid: WorkloadId, _sealed: Uint8Array): void => {},
		ended: [] as WorkloadId[],
		owners: new Set<OwnerId>(),
		workloads: new Map<WorkloadId, { charter: Uint8Array; manifest: Uint8Array; pods: PodStatus[] }>(),
		silent: [] as MachineId[],
		reaches: new Map<MachineId, ScriptedHost>(),
		poses: false,
		name,
		accept,
		[Symbol.asyncDispose]: async () => listener.close(),
	};

	async function* place(request: PlaceRequest, signal: AbortSignal): AsyncGenerator<PlaceEvent> {
		const nowMs = Date.now();
		host.placements.push(request);
		const { tender } = openTender(request.tender, nowMs);
		const { tenderId, slots } = tender.body;
		yield { type: 'tendered', tenderId, scope: 'root', hosts: 1 };
		if (host.starveWith !== '') {
			yield { type: 'bid', machineId, score: 0, slotsOffered: 0, reason: host.starveWith };
			yield { type: 'starved', slots, hostsAsked: 1, reasons: [{ requirement: host.starveWith, hosts: 1 }] };
			if (request.keepTrying && !signal.aborted) await once(signal, 'abort');
			return;
		}
		yield { type: 'bid', machineId, score: 0.75, slotsOffered: slots.length };
		let bundle: OpenedBundle | undefined;
		const pods: PodStatus[] = [];
		for (const at of slots) {
			const awardId = createUlid(nowMs);
			const delivered = new Promise<Uint8Array>((resolve) => deliveries.set(awardId, resolve));
			yield { type: 'awarded', ...at, machineId, awardId, credential: host.winner };
			const sealed = await Promise.race([delivered, delay(NO_DELIVERY_MS, undefined, { signal, ref: false })]);
			if (sealed === undefined) {
				yield { type: 'rejected', ...at, machineId, reason: 'nothing was delivered' };
				yield { type: 'outcome', ...at, machineId, outcome: 'failed', reason: 'nothing was delivered' };
				continue;
			}
			const delivery = openSealedBundle(sealed, awardId, machine.kem);
			const opened = openBundle(delivery.bundle, nowMs);
			if (bundle === undefined) {
				host.bundles.push(opened);
				const { charter, manifest } = opened.bundle;
				host.workloads.set(opened.wid, { charter, manifest, pods });
			}
			bundle = opened;
			yield { type: 'accepted', ...at, machineId };
			const replica = createNodeKeys();
			const csr = host.forge({
				...at,
				wid: bundle.wid,
				incarnation: 0,
				awardId,
				addresses: [`/ip4/127.0.0.1/udp/${41000 + at.slot}/quic-v1`],
				ts: nowMs,
			});
			const answered = new Promise<AdmitRequest>((resolve) => answers.set(awardId, resolve));
			const { credential } = host;
			const request = signedRequest(csr, replica, machine, bundle.charter.body);
			const papers = sealPapers(request, awardId, delivery.replyKey);
			yield { type: 'csr', ...at, awardId, credential, papers, statement: request.statement };
			const { answer } = await answered;
			host.admissions.push(answer);
			if (!answer.admitted) {
				const reason = openReason(answer.reason, machine.kem);
				yield { type: 'outcome', ...at, machineId, outcome: 'failed', reason };
				continue;
			}
			host.members.push({ keys: replica, told: openSealedAdmission(answer.sealed, replica.kem) });
			const failed = host.failFirst-- > 0;
			pods.push(podOf(bundle.charter.body, failed ? { ...at, gen: at.gen + 1 } : at, replicaIdOf(replica)));
			if (failed) yield { type: 'outcome', ...at, machineId, outcome: 'failed', reason: 'exited with 1' };
			else yield { type: 'outcome', ...at, machineId, outcome: 'deployed' };
		}
	}

	function podOf(charter: Charter, at: { slot: number; gen: number }, replicaId: ReplicaId): PodStatus {
		const { wid, owner, namespace, kind, era, manifestCid } = charter;
		return {
			...at,
			podId: `pod-${charter.name}-${at.slot}-g${at.gen}`,
			name: `${charter.name}-${at.slot}`,
			namespace,
			kind,
			workload: charter.name,
			wid,
			owner,
			phase: 'Running',
			reason: host.podIsReady ? '' : 'CrashLoopBackOff',
			ready: host.podIsReady,
			role: at.slot === 0 ? 'leader' : 'follower',
			replicaId,
			restarts: 0,
			createdAtMs: Date.now() - 5_000,
			machineId,
			machineName: name,
			image: 'example/kv:1',
			endpoints: [{ name: 'http', protocol: 'tcp', address: `127.0.0.1:${30000 + at.slot}`, containerPort: 8080 }],
			era,
			manifestCid,
			pids: [1000 + at.slot],
		};
	}

	services.serve(HostApi, {
		info: () => ({
			machineId,
			name,
			addresses: [],
			version: '0.1.0',
			runtime: 'process',
			runtimeVersion: '1',
			startedAtMs: 0,
			mesh: host.mesh.body.name,
			meshId: host.mesh.cid,
			cryptography: 'native' as const,
		}),
		meshEpoch: ({ epoch, keyring }) => {
			host.epochs.push(openRecord('mesh-epoch', epoch, [host.mesh.body.rootKey]));
			if (keyring !== undefined) host.keyrings.push(decodeRecord(machine.kem.open('keyring', keyring)));
			return { hostsReached: 1 };
		},
		hosts: () => ({
			hosts: [
				presence(machineId, name),
				...host.silent.map((id, i) => presence(id, `away-${i}`)),
				...[...host.reaches].map(([id, other]) => presence(id, other.name)),
			],
		}),
		inventory: (_, { principal }) => {
			host.owners.add(principal.owner);
			const mine = [...host.workloads].filter(
				([, { charter }]) => openRecord('charter', charter).body.owner === principal.owner,
			);
			return { workloads: mine.map(([wid, view]) => ({ wid, ...view })) };
		},
		charter: ({ charter, manifest }) => {
			const { body } = openRecord('charter', charter);
			host.charters.push(body);
			const view = host.workloads.get(body.wid);
			if (view === undefined) return { pods: 0 };
			view.charter = charter;
			if (manifest !== undefined) view.manifest = manifest;
			const gen = Math.max(1, ...view.pods.map((pod) => pod.gen));
			view.pods = Array.from({ length: body.deleted ? 0 : body.replicas }, (_, slot) =>
				podOf(body, { slot, gen }, view.pods[slot]?.replicaId ?? replicaIdOf(createNodeKeys())),
			);
			if (body.deleted) host.workloads.delete(body.wid);
			return { pods: view.pods.length };
		},
		rosters: () => ({ sealed: host.rosters }),
		checkpoint: ({ wid, sealed }) => {
			host.checkpoints.push(sealed);
			host.onCheckpoint(wid, sealed);
			return { pods: 1 };
		},
		end: ({ end }) => {
			host.ended.push(openWorkloadEnd(end, Date.now()).body.wid);
			return { hostsReached: 1 };
		},
		place: (request, { signal }) => place(request, signal),
		retender: () => ({}),
		deliver: ({ awardId, sealed }) => {
			deliveries.get(awardId)?.(sealed);
			return {};
		},
		admit: (request) => {
			answers.get(request.awardId)?.(request);
			return {};
		},
		logs: async function* ({ podId }) {
			yield { stream: 'stdout' as const, timeMs: 0, line: `${podId} started` };
			yield { stream: 'stderr' as const, timeMs: 1_000, line: 'careful' };
		},
	});
	async function serve(raw: ByteStream): Promise<void> {
		const { ask, stream } = await readAsk(raw);
		const { target = machineId } = ask;
		const wanted = target === machineId || host.poses ? host : host.reaches.get(target);
		if (wanted === undefined) {
			writeAnswer(stream, refusal(new MeshError('unavailable', `host ${target} cannot be reached from host ${name}`)));
			return stream.close();
		}
		writeAnswer(stream, { ok: true, machineId: target, genesis: host.mesh.envelope });
		await wanted.accept(stream);
	}

	async function accept(stream: ByteStream): Promise<void> {
		const { cert } = decodeRecord(shown) as { cert: Uint8Array };
		const { cid } = peekRecord('machine-cert', cert);
		const member = { meshId: host.mesh.cid, credential: shown, self: { cid }, keys: machine };
		const secured = await secureStream(stream, {
			role: 'responder',
			identity: hostOwnerIdentity(member),
			protocol: OWNER_SESSION,
			self: machineId,
		});
		const exchange = { hello: () => new Uint8Array(), admit: () => secured.principal };
		await openSession(secured, { remote: 'local', initiator: false, services, exchange });
	}
	const listener = await listenUnix(socket, (stream) => void serve(stream).catch(() => undefined));
	return host;
}

function replicaIdOf({ peer }: NodeKeys): ReplicaId {
	return peer.peerId as ReplicaId;
}

function credentialOf({ peer, signer, kem }: NodeKeys, mesh: OpenedMesh, root: KeyPair): Uint8Array {
	const certified = { machineId: peer.peerId as MachineId, sigKey: signer.publicKey, kemKey: kem.publicKey };
	return certifyMachine({ mesh: mesh.cid, ...certified, caps: [], labels: {}, serial: 1, nbf: Date.now() }, root);
}

function signedRequest(
	at: Parameters<typeof requestAdmission>[1],
	replica: NodeKeys,
	machine: NodeKeys,
	charter: Charter,
) {
	const csr = openCsr(requestAdmission(replica, at).envelope);
	const { awardId } = at;
	const about = { machineId: machine.peer.peerId as MachineId, manifestCid: charter.manifestCid };
	return {
		csr: csr.envelope,
		cert: certifyOwn(charter, csr, about, replica.signer, at.ts),
		statement: signRecord('host-statement', { awardId, csrCid: csr.cid, ...about, ts: at.ts }, machine.signer),
	};
}

function presence(machineId: MachineId, name: string): Presence {
	const resources = { cpuMillis: 4000, memoryBytes: 8 * 2 ** 30, diskBytes: 100 * 2 ** 30 };
	const nowMs = Date.now();
	return {
		machineId,
		name,
		addresses: ['/ip4/127.0.0.1/udp/4700/quic-v1'],
		labels: { disk: 'ssd' },
		runtime: 'process',
		version: '0.1.0',
		capacity: resources,
		free: resources,
		pods: 0,
		leaving: false,
		seq: 1,
		ts: nowMs,
		exp: nowMs + 15_000,
	};
}
