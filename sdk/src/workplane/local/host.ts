/**
 * The host of `dev` mode and of tests: answers what hostd would, from a registry that the processes of one machine
 * share. It places nothing. The chain of identity is the real one, with an owner key that is made for the registry.
 */
import { MeshError } from '../../errors.ts';
import {
	createKeyPair,
	createKeyring,
	createMesh,
	createPeerKey,
	createUlid,
	keyringIdOf,
	MACHINE_CERT_TTL_MS,
	openCsr,
	openReplicaCert,
	rosterContext,
	sealForGroup,
	sha256,
	signRecord,
} from '../../identity/index.ts';
import type { PodContext, PodEvent } from '../../replicas/pod-api.ts';
import type { Bundle, MachineId, RecordCid, ReplicaId, WorkloadId } from '../../wire/index.ts';
import type { HostCalls, PodHost } from '../host.ts';
import { Queue } from '../queue.ts';
import { LocalOwner } from './owner.ts';
import type { Claim, LocalRegistry } from './registry.ts';

export interface LocalHostOptions {
	readonly registry: LocalRegistry;
	readonly workload: string;
	readonly data: string | undefined;
	readonly voters: number;
	readonly listen: readonly string[];
}

export interface LocalHost extends PodHost {
	/** What hostd would tell this pod. */
	tell(event: PodEvent): void;
}

export async function createLocalHost(options: LocalHostOptions): Promise<LocalHost> {
	const { registry, workload, data, voters, listen } = options;
	const owner = new LocalOwner(await registry.ownerSeed(), workload, voters);
	const { wid, manifestCid } = owner;
	const machineId = createPeerKey().peerId as MachineId;
	// No machine of it ever states anything: in dev mode nobody places replicas.
	const { genesis: meshGenesis, epoch: meshEpoch } = loneMesh(Date.now());
	const claim = await registry.claim(workload, data);
	// The same for a process that comes back to its slot.
	const awardId = createUlid(0, sha256(new TextEncoder().encode(`${wid}/${claim.slot}/${claim.gen}`)).subarray(0, 10));
	const events = new Queue<PodEvent>();
	let replicaId: ReplicaId | undefined;

	const hintsOf = async (isWanted: (entry: { wid: WorkloadId; workload: string }) => boolean) =>
		(await registry.entries()).filter((entry) => isWanted(entry) && entry.replicaId !== replicaId);
	const withoutNames = (entries: Awaited<ReturnType<typeof hintsOf>>) =>
		entries.map(({ replicaId, slot, gen, addresses }) => ({ replicaId, slot, gen, addresses: [...addresses] }));

	const calls: HostCalls = {
		async context() {
			const bundle = owner.bundle(await registry.roster(wid));
			return contextOf({ claim, machineId, meshGenesis, meshEpoch, awardId, bundle, wid, manifestCid, listen });
		},
		async join({ csr, cert }) {
			const { slot, gen, kemKey, replicaId: id } = openReplicaCert(cert).body;
			const { addresses } = openCsr(csr).body;
			replicaId = id;
			const roster = await registry.changeRoster(wid, (known) => owner.admit(known, cert, Date.now()));
			// Seen first, then looking: of two that start at once, one finds the other.
			await registry.publish({ wid, workload, replicaId, slot, gen, addresses });
			const members = withoutNames(await hintsOf((entry) => entry.wid === wid));
			const isFounder = gen === 1 && slot < voters;
			return {
				sealed: owner.answer(roster, kemKey, Date.now()),
				members,
				foundingSlots: isFounder ? voters : 0,
			};
		},
		// Whoever shares the registry can read it.
		keepRoster: async () => ({}),
		async rosters({ wid: sought }) {
			const roster = await registry.roster(sought);
			return { sealed: roster === undefined ? [] : [sealForGroup(owner.psk, rosterContext(sought), roster)] };
		},
		async announce({ replicaId: id, addresses }) {
			replicaId = id;
			await registry.publish({ wid, workload, replicaId: id, slot: claim.slot, gen: claim.gen, addresses });
			return {};
		},
		// The slot stays claimed until the process ends.
		leave: async () => ({}),
		async resolve(query) {
			const entries = await hintsOf((e) => (query.by === 'id' ? e.wid === query.wid : e.workload === query.name));
			const wids = new Set(entries.map((e) => e.wid));
			return {
				found: [...wids].map((id) => ({ wid: id, members: withoutNames(entries.filter((e) => e.wid === id)) })),
			};
		},
		async *events(_input, callOptions) {
			callOptions?.signal?.addEventListener('abort', () => events.end(), { once: true });
			yield* events;
		},
		// biome-ignore lint/correctness/useYield: there is nobody to bid
		async *place() {
			throw new MeshError('unavailable', 'nobody places replicas in dev mode: start another process');
		},
		retender: notInDevMode,
		deliver: notInDevMode,
		admit: notInDevMode,
	};

	return {
		calls,
		canPlace: false,
		onConnection: () => ({ [Symbol.dispose]() {} }),
		tell: (event) => events.push(event),
		async [Symbol.asyncDispose]() {
			events.end();
			if (replicaId !== undefined) await registry.withdraw(replicaId);
			await claim.release();
		},
	};
}

/** A mesh whose root nobody keeps. */
function loneMesh(nowMs: number): { readonly genesis: Uint8Array; readonly epoch: Uint8Array } {
	const root = createKeyPair();
	const mesh = createMesh('dev', root, nowMs);
	const keyringId = keyringIdOf(createKeyring());
	const epoch = { mesh: mesh.cid, seq: 1, revoked: [], keyringId, nbf: nowMs, exp: nowMs + MACHINE_CERT_TTL_MS };
	return { genesis: mesh.envelope, epoch: signRecord('mesh-epoch', epoch, root) };
}

async function notInDevMode(): Promise<never> {
	throw new MeshError('unavailable', 'nobody places replicas in dev mode');
}

interface ContextParts {
	readonly claim: Claim;
	readonly machineId: MachineId;
	readonly meshGenesis: Uint8Array;
	readonly meshEpoch: Uint8Array;
	readonly awardId: string;
	readonly bundle: Bundle;
	readonly wid: WorkloadId;
	readonly manifestCid: RecordCid;
	readonly listen: readonly string[];
}

function contextOf({
	claim,
	machineId,
	meshGenesis,
	meshEpoch,
	awardId,
	bundle,
	wid,
	manifestCid,
	listen,
}: ContextParts): PodContext {
	const { slot, gen, incarnation } = claim;
	const nowMs = Date.now();
	return {
		...{ machineId, machineAddresses: [], machineName: 'dev', slot, gen, incarnation },
		award: {
			...{ awardId, tenderId: awardId, wid, slot, gen, machineId, requester: machineId, manifestCid },
			...{ ts: nowMs, exp: nowMs + 120_000 },
		},
		bundle,
		meshGenesis,
		meshEpoch,
		listen: [...listen],
		announce: [],
	};
}
