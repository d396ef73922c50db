/**
 * Joining: the host says which slot this is, the replica makes its key, whoever awarded the slot certifies it, and the
 * members admitted before are dialed. Resolves when this replica can serve and be found.
 */
import {
	createAdvertisementReader,
	Directory,
	type OpenNetwork,
	type PeerPrincipal,
	ReplicaSession,
	Trust,
} from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import {
	certifyOwn,
	MachineTrust,
	type OpenedRecord,
	openCsr,
	openMesh,
	openOwnedCharter,
	openReplicaCert,
	openSealedAdmission,
	requestAdmission,
} from '../identity/index.ts';
import type { Admission, MemberHint } from '../replicas/placement-api.ts';
import { durationMs } from '../streams/rpc/duration.ts';
import { createRpcNode } from '../streams/rpc/node.ts';
import { silentLogger, silentMetrics } from '../telemetry/index.ts';
import { type Charter, LIMITS, type ReplicaId, type WorkloadId } from '../wire/index.ts';
import { CharterKeeper } from './charter.ts';
import type { PodHost } from './host.ts';
import { type AdmissionRequest, type IdentityStore, memoryIdentity, openIdentity } from './identity-file.ts';
import { findRosters } from './rosters.ts';
import { Secrets } from './secrets.ts';
import type { GroupStores } from './stores.ts';
import { superviseReplica } from './supervise.ts';
import type { JoinOptions } from './types.ts';
import { within } from './within.ts';
import { LiveWorkplane } from './workplane.ts';

/** Framed calls between replicas and their callers, one stream per pair. */
const RPC_PROTOCOL = '/beemesh/w/rpc/1';
const READY_TIMEOUT_MS = 60_000;
/** Members that do not answer by then are looked for in the background. */
const FIRST_DIALS_MS = 2000;
/** For a displaced replica to read why it is refused, before its connection ends. */
const DISMISSED_MS = 1000;

type Admitted = Pick<Admission, 'sealed' | 'members' | 'foundingSlots'>;

export interface JoinComponents {
	readonly host: PodHost;
	readonly openNetwork: OpenNetwork;
	readonly options: JoinOptions;
	/** Ends the process after a drain that nobody in it asked for. Default: nothing. */
	readonly exit?: (code: number) => void;
	/** Where this replica keeps its identity. Default: in memory, for processes that nobody restarts in place. */
	readonly identityStore?: IdentityStore;
	/** Where Raft groups keep their logs. Default: in memory, for replicas without a volume. */
	readonly stores?: GroupStores;
}

export async function join(components: JoinComponents): Promise<LiveWorkplane> {
	const { host, openNetwork, options } = components;
	const timeoutMs = durationMs(options.readyTimeout ?? READY_TIMEOUT_MS);
	const limit = AbortSignal.timeout(timeoutMs);
	const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
	const log = options.log ?? silentLogger;
	const context = await host.calls.context({}, { signal });
	const charter = new CharterKeeper(context.bundle);
	const { wid, owner, charter: chartered } = charter.opened;
	const { identityStore = memoryIdentity() } = components;
	const { slot, gen, incarnation, award } = context;
	const identity = await openIdentity(identityStore, award.awardId);
	const { keys } = identity;
	const replicaId = keys.peer.peerId as ReplicaId;
	const machines = new MachineTrust(openMesh(context.meshGenesis), context.meshEpoch);
	let secrets: Secrets | undefined;
	const trust = new Trust({
		owner,
		openCharter: (envelope) => openOwnedCharter(envelope, owner, Date.now()),
		isRevoked: (machineId) => machines.isRevoked(machineId),
		find: (sought) => (secrets === undefined ? Promise.resolve([]) : findRosters(host, sought, secrets.current.psk)),
	});
	const read = createAdvertisementReader(trust);
	const { listen, announce } = context;
	const session = new ReplicaSession({
		...{ owner, trust },
		psk: () => secrets?.current.psk,
		sign: (message) => keys.signer.sign(message),
	});
	const network = await openNetwork({
		seed: keys.peer.seed,
		listen,
		announce,
		wid,
		session,
		recordKeys: () => secrets?.groupKeys ?? [],
		read: (bytes) => read(bytes, Date.now()),
	});
	let workplane: LiveWorkplane | undefined;
	try {
		const addresses = (): readonly string[] => network.transport.addresses().slice(0, LIMITS.addressesMax);
		const papers = await identity.request(() => {
			const at = {
				slot,
				gen,
				incarnation: 0,
				awardId: award.awardId,
				wid,
				addresses: [...addresses()],
				ts: Date.now(),
			};
			const csr = openCsr(requestAdmission(keys, at).envelope);
			const { machineId } = context;
			const about = { machineId, manifestCid: award.manifestCid };
			return { csr: csr.envelope, cert: certifyOwn(chartered.body, csr, about, keys.signer, Date.now()) };
		});
		const admitted = await admission(host, wid, identity.admission, papers, signal);
		const asked = openReplicaCert(papers.cert);
		const { links, ...parts } = openSealedAdmission(admitted.sealed, keys.kem);
		secrets = new Secrets(parts);
		try {
			trust.learn({ charter: chartered.envelope, links });
		} catch {
			// The owner has changed its mind since this pod was awarded: others have the newer charter.
			await trust.refresh(wid);
		}
		if (identity.admission !== undefined) await requireStillIn(trust, host, asked, chartered.body.kind);
		// The newest: before a restart in place it may have been renewed.
		const cert = await trust.require(asked.envelope);
		session.admitted(cert);
		await identity.admitted(admitted.sealed);
		const zone = options.locality?.zone ?? context.zone;
		const directory = new Directory({
			...{ cert, trust, addresses, log },
			signer: keys.signer,
			// What this pod runs, which an update may have overtaken.
			manifestCid: award.manifestCid,
			version: options.version ?? '0.0.0',
			...(zone === undefined ? {} : { zone }),
			displace: chartered.body.kind === 'StatefulSet' ? 'at-once' : 'when-ready',
		});
		const node = createRpcNode<PeerPrincipal>({
			transport: network.transport,
			protocol: RPC_PROTOCOL,
			exchange: directory.exchange,
			// Membership has heartbeats of its own, with an indirect probe before the verdict.
			heartbeats: false,
			onFailure: ({ error, what, remote }) => log.error('handler failed', { error, what, remote }),
		});
		// The refusal arrives first.
		directory.onDismissed = (peer) => {
			setTimeout(() => void network.transport.disconnect(peer).catch(() => undefined), DISMISSED_MS).unref();
		};
		directory.start(node);
		const metrics = options.metrics ?? silentMetrics;
		workplane = new LiveWorkplane({
			...{ host, context, charter, network, directory, node, options, log, metrics },
			...{ trust, machines, secrets, keys, cert },
			keepAdmission: (sealed) => identity.admitted(sealed),
		});
		const supervisor = superviseReplica(workplane, components, admitted.foundingSlots);
		// Those we meet may know of a newer holder of our slot: then its groups are not ours to open.
		await within(FIRST_DIALS_MS, supervisor.meet(admitted.members));
		if (workplane.signal.aborted)
			throw new MeshError('conflict', `slot ${slot} has been given to a newer replica than this one`);
		await supervisor.openMembers();
		signal.throwIfAborted();
		log.info('joined', { workload: chartered.body.name, slot, gen, incarnation, replicaId });
		workplane.begin();
		return workplane;
	} catch (error) {
		await workplane?.drain({ grace: 0, reason: 'joining failed' });
		await network.transport[Symbol.asyncDispose]();
		if (limit.aborted) {
			throw new MeshError(
				'deadline',
				`not admitted within ${timeoutMs} ms: is whoever placed this replica still there?`,
				{
					cause: error,
				},
			);
		}
		throw error;
	}
}

/**
 * What a replica was told when it was admitted may be long over when it is started again in place. One that acted on it
 * would lead a history of its own, and alone: with `k` = 1 its own signature is enough. Where its slot is another's it
 * leaves for good; a stateful one may still be needed to vote its successor in.
 */
async function requireStillIn(
	trust: Trust,
	host: PodHost,
	cert: OpenedRecord<'replica-cert'>,
	kind: Charter['kind'],
): Promise<void> {
	const { wid, slot, gen, replicaId } = cert.body;
	await trust.refresh(wid).catch(() => undefined);
	const mayVote = kind === 'StatefulSet' && trust.isOutgoing(cert);
	const chain = trust.chain(wid);
	if (chain === undefined || mayVote || chain.member(replicaId) !== undefined) return;
	const reason = `slot ${slot} generation ${gen} is no member any more`;
	await host.calls.leave({ reason }).catch(() => undefined);
	throw new MeshError('conflict', `${reason}: its slot was given to another while this replica was away`);
}

/**
 * The first start of an award asks whoever awarded it. A restart in place is the same replica with the same certificate,
 * and only has to find the others again.
 */
async function admission(
	host: PodHost,
	wid: WorkloadId,
	sealed: Uint8Array | undefined,
	papers: AdmissionRequest,
	signal: AbortSignal,
): Promise<Admitted> {
	if (sealed === undefined) return host.calls.join({ ...papers }, { signal, timeout: READY_TIMEOUT_MS });
	let members: MemberHint[] = [];
	try {
		const { found } = await host.calls.resolve({ by: 'id', wid }, { signal });
		members = found.flatMap((workload) => workload.members);
	} catch (error) {
		// Without hints the DHT and the others' dials are left.
		if (!isMeshError(error)) throw error;
	}
	return { sealed, members, foundingSlots: 0 };
}
