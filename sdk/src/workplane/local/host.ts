/**
 * The host of `dev` mode and of tests: answers what hostd would, from a registry that the processes of one machine
 * share. It places nothing. The chain of identity is the real one, with an owner key that is made for the registry.
 */
import { MeshError } from '../../errors.ts';
import {
	certify,
	createKeyPair,
	createMesh,
	createPeerKey,
	createUlid,
	defaultAdmissionTerms,
	encodeManifest,
	genesisFor,
	hkdf,
	type KeyPair,
	openCsr,
	openRecord,
	ownerIdOf,
	signRecord,
	workloadIdOf,
} from '../../identity/index.ts';
import type { PodContext, PodEvent } from '../../replicas/pod-api.ts';
import {
	type Bundle,
	KEY_BYTES,
	type MachineId,
	type Manifest,
	type RecordCid,
	type ReplicaId,
	type WorkloadId,
} from '../../wire/index.ts';
import type { HostCalls, PodHost } from '../host.ts';
import { Queue } from '../queue.ts';
import type { Claim, LocalRegistry } from './registry.ts';

const NAMESPACE = 'default';
/** The end of the year 9999: nothing expires that nobody renews. */
const FOREVER_MS = 253_402_300_799_000;

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
	const owner = createKeyPair(hkdf(await registry.ownerSeed(), 'dev-owner', KEY_BYTES.seed));
	const machineId = createPeerKey().peerId as MachineId;
	// No machine of it ever states anything: in dev mode nobody places replicas.
	const meshGenesis = createMesh('dev', createKeyPair(), Date.now()).envelope;
	const { bundle, wid, manifestCid, tenderKey } = makeBundle(owner, workload, voters);
	const claim = await registry.claim(workload, data);
	const awardId = createUlid(Date.now());
	const events = new Queue<PodEvent>();
	let replicaId: ReplicaId | undefined;

	const hintsOf = async (isWanted: (entry: { wid: WorkloadId; workload: string }) => boolean) =>
		(await registry.entries()).filter((entry) => isWanted(entry) && entry.replicaId !== replicaId);
	const withoutNames = (entries: Awaited<ReturnType<typeof hintsOf>>) =>
		entries.map(({ replicaId, slot, gen, addresses }) => ({ replicaId, slot, gen, addresses: [...addresses] }));

	const calls: HostCalls = {
		async context() {
			return contextOf({ claim, machineId, meshGenesis, awardId, bundle, wid, manifestCid, listen });
		},
		async join({ csr: envelope }) {
			const csr = openCsr(envelope).body;
			replicaId = csr.replicaId;
			const { slot, gen, addresses } = csr;
			// Seen first, then looking: of two that start at once, one finds the other.
			await registry.publish({ wid, workload, replicaId, slot, gen, addresses });
			const charter = openRecord('charter', bundle.charter).body;
			const members = withoutNames(await hintsOf((entry) => entry.wid === wid));
			const isFounder = gen === 1 && slot < voters;
			return {
				cert: certify(charter, csr, machineId, tenderKey, Date.now()),
				members,
				foundingSlots: isFounder ? voters : 0,
			};
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

async function notInDevMode(): Promise<never> {
	throw new MeshError('unavailable', 'nobody places replicas in dev mode');
}

function makeBundle(
	owner: KeyPair,
	name: string,
	voters: number,
): {
	bundle: Bundle;
	wid: WorkloadId;
	manifestCid: RecordCid;
	tenderKey: KeyPair;
} {
	const tenderKey = createKeyPair(hkdf(owner.seed, `tender/${name}`, KEY_BYTES.seed));
	const genesis = genesisFor(owner.publicKey, 'StatefulSet', NAMESPACE, name);
	const wid = workloadIdOf(genesis);
	const manifest: Manifest = {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: { name, namespace: NAMESPACE },
		spec: {
			replicas: voters,
			selector: { matchLabels: { app: name } },
			template: { spec: { containers: [{ name, image: 'dev' }] } },
		},
	};
	const { bytes, cid } = encodeManifest(manifest);
	const ownerId = ownerIdOf(owner.publicKey);
	const charter = signRecord(
		'charter',
		{
			...{ wid, owner: ownerId, era: 1, kind: 'StatefulSet', namespace: NAMESPACE, name },
			...defaultAdmissionTerms(voters),
			...{ manifestCid: cid, replicas: voters, deleted: false, nbf: 0, exp: FOREVER_MS },
		},
		owner,
	);
	const grantBody = { wid, owner: ownerId, tenderKey: tenderKey.publicKey, quota: 1024, exp: FOREVER_MS };
	const grant = signRecord('tender-grant', grantBody, owner);
	const bundle: Bundle = {
		genesis: signRecord('genesis', genesis, owner),
		charter,
		grant,
		tenderSecret: tenderKey.seed,
		psk: hkdf(owner.seed, 'owner-psk', 32),
		manifest: bytes,
	};
	return { bundle, wid, manifestCid: cid, tenderKey };
}

interface ContextParts {
	readonly claim: Claim;
	readonly machineId: MachineId;
	readonly meshGenesis: Uint8Array;
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
		listen: [...listen],
		announce: [],
	};
}
