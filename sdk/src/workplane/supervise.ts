/**
 * What a replica does besides serving: follows its charter, obeys its host, keeps the replica count when it is the one
 * responsible, puts itself into the DHT, and leaves when a newer replica has its slot.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerPrincipal, WorkloadView } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import { type EpochChain, openCheckpoint } from '../identity/index.ts';
import { type LiveReplica, ReplicaDriver } from '../replicas/driver.ts';
import type { MemberHint } from '../replicas/placement-api.ts';
import type { Session } from '../streams/rpc/session.types.ts';
import type { ReplicaId } from '../wire/index.ts';
import { Departures } from './departures.ts';
import { EpochFollower } from './epoch-follower.ts';
import { EXIT_LOST_STATE, Groups } from './groups.ts';
import type { JoinComponents } from './join.ts';
import { MembershipOffice } from './membership.ts';
import { historySpacingMs, RosterKeeper } from './rosters.ts';
import { Seeker } from './seeker.ts';
import { Spaced } from './spaced.ts';
import { memoryStores } from './stores.ts';
import type { LiveWorkplane } from './workplane.ts';

const PUT_MS = 4000;
const EVENTS_AGAIN_MS = 500;
const HOUSEKEEPING_MS = 30_000;
/** Time for a successor to be placed, to start, to catch up and to be voted in, several slots of a host in turn. */
const SUCCESSOR_MS = 20_000;

export interface Supervisor {
	/** Takes part in the members group of a stateful workload in a pod. In `dev` mode the first group opens it. */
	openMembers(): Promise<void>;
	/** Dials replicas that others named; resolves when it has tried all who are members now. */
	meet(hints: readonly MemberHint[]): Promise<void>;
}

export function superviseReplica(
	workplane: LiveWorkplane,
	{ exit, stores = memoryStores() }: JoinComponents,
	foundingSlots: number,
): Supervisor {
	const {
		host,
		directory,
		charter,
		context,
		network,
		trust,
		machines,
		secrets,
		keys,
		cert,
		keepAdmission,
		log,
		metrics,
	} = workplane.parts;
	const own = directory.own;
	const self = directory.record.replicaId;
	const abort = new AbortController();

	const leave = (reason: string): void => void workplane.depart(reason).then(() => exit?.(0));
	/** Our host wants us gone: we serve until a successor holds our slot, or whoever is responsible finds none. */
	const retreat = (reason: string): void => {
		if (!host.canPlace || workplane.state === 'joining') return leave(reason);
		if (directory.record.leaving || workplane.signal.aborted) return;
		log.info('looking for a successor before leaving', { reason });
		directory.publish({ leaving: true });
		observe();
		const timer = setTimeout(() => leave(reason), SUCCESSOR_MS);
		abort.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
	};
	/** Not for good as far as we know: the host starts us again, or the others replace us. */
	const fail = (error: MeshError): void => {
		workplane.warn(error);
		void workplane.drain({ reason: error.message }).then(() => exit?.(EXIT_LOST_STATE));
	};
	/** Whoever we have met replaces us, and the sooner we are gone the sooner; alone, we stay for our owner to see. */
	const lostState = (error: MeshError): void => {
		if (!own.live().some(({ record }) => record.replicaId !== self)) return fail(error);
		workplane.warn(error);
		void workplane.depart(error.message).then(() => exit?.(EXIT_LOST_STATE));
	};

	const isStateful = charter.opened.charter.body.kind === 'StatefulSet';
	const groups = isStateful
		? new Groups({
				workplane,
				stores,
				foundingSlots,
				adoptsNewcomers: !host.canPlace,
				onFatal: fail,
				onLostState: lostState,
				onChange: () => observe(),
			})
		: undefined;
	if (groups !== undefined) {
		workplane.useGroups(groups);
		directory.mayStillVote = (at) => groups.mayStillVote(at);
	}

	const machine = (credential: Uint8Array) => machines.learn(credential, Date.now());
	const office = new MembershipOffice({
		...{ keys, trust, directory, secrets, machine, log },
		wid: own.wid,
		manifests: () => charter.manifests,
		commit: groups === undefined ? undefined : (change, link) => groups.commit(change, link),
		keep: () => roster.keepNow(),
	});
	directory.onCosign = (epoch, certs, papers) => office.cosign(epoch, certs, papers);
	directory.onRenewal = () => office.renewal(Date.now(), 'early');
	directory.groupKey = () => secrets.current.groupKey;
	const epochKeeping = new Spaced({
		async act() {
			try {
				await keepAdmission(office.ownAdmission());
			} catch (error) {
				log.warn('the newest epoch is not kept for the next start', { error });
			}
		},
		spacingMs: () => historySpacingMs(trust.chain(own.wid)),
	});
	const follower = new EpochFollower({
		...{ trust, directory, network, secrets, cert, log },
		onOut: () => leave('no member of the workload any more'),
		onChange: () => observe(),
		// After an outage of everybody the newest epoch is with whoever has kept it.
		onCurrent: () => epochKeeping.ask(),
	});
	const roster = new RosterKeeper({
		...{ host, trust, log },
		wid: own.wid,
		psk: () => secrets.current.psk,
		charter: () => charter.opened.charter.envelope,
	});
	const housekeeping = setInterval(() => void keepHouse(), HOUSEKEEPING_MS);
	/** Renews our certificate in time, and puts out members whose slots are not wanted any more. */
	const keepHouse = async (): Promise<void> => {
		try {
			await office.renewWhenDue(Date.now());
			if (!host.canPlace || !isResponsible()) return;
			const { replicas } = charter.opened.charter.body;
			const live = new Set(own.live().map(({ record }) => record.replicaId));
			for (const member of trust.members(own.wid))
				if (member.slot >= replicas && !live.has(member.replicaId)) await office.remove(member);
		} catch (error) {
			log.debug('membership not tidied: another try follows', { error });
		}
	};

	const departures = new Departures({
		...{ self, log },
		async dismiss({ replicaId, slot, gen }, reason) {
			if (replicaId === self) {
				// Nobody can sign for itself when it has gone: whoever leads next sends us away.
				if ((await groups?.handOver()) !== true) leave(reason);
				return;
			}
			await groups?.retire({ slot, gen });
			await office.remove({ slot, gen }, async () => directory.member(replicaId)?.drain({ reason }));
		},
	});
	const driver = host.canPlace
		? new ReplicaDriver(
				{
					calls: () => host.calls,
					bundle: () => charter.opened,
					machineId: context.machineId,
					machine,
					machineAddresses: context.machineAddresses,
					live: () => liveReplicas(own),
					generations: () => generationsOf(trust.chain(own.wid)),
					tenderKey: secrets.tenderKey,
					isChangingMembers: () => groups?.isSettled === false,
					drain: (replica, reason) => departures.add(replica, reason),
					async admit(papers) {
						// Whoever took over for a moment, because the responsible one was not heard, has no business any more.
						if (!isResponsible()) throw new MeshError('conflict', 'another replica replaces those that were lost');
						return office.admit(papers);
					},
					onReconcile: (status) => workplane.emit('reconcile', status),
				},
				log,
				metrics,
			)
		: undefined;

	const isResponsible = (): boolean =>
		workplane.state !== 'joining' &&
		!workplane.signal.aborted &&
		(groups?.isLeading ?? own.live()[0]?.record.replicaId === self);
	function observe(): void {
		driver?.observe();
		driver?.setResponsible(isResponsible());
	}

	const shareWith = (peer: ReplicaId): void => {
		const { charter: envelope, manifest } = charter.opened.bundle;
		directory
			.member(peer)
			?.share({ charter: envelope, manifest, generations: [...own.generations()].map(([slot, gen]) => [slot, gen]) })
			.catch((error) => log.debug('news not shared', { error }));
	};

	const takeCharter = (envelope: Uint8Array, manifest: Uint8Array | undefined): void => {
		if (!charter.offer(envelope, manifest, (error) => workplane.warn(error))) return;
		const { era, replicas, deleted } = charter.opened.charter.body;
		log.info('charter changed', { era, replicas, deleted });
		for (const { record } of own.live()) shareWith(record.replicaId);
		if (deleted) return leave('the workload has been deleted');
		driver?.charterChanged();
		groups?.tend();
	};

	/** What runs on a machine that the mesh has put out is refused at once, and replaced like any other loss. */
	const takeMeshEpoch = (envelope: Uint8Array): void => {
		try {
			if (machines.offerEpoch(envelope)) follower.recheck();
		} catch (error) {
			if (!isMeshError(error)) throw error;
			workplane.warn(error);
		}
	};

	/** Whoever changes the membership now takes it: then nothing else is changed at the same time. */
	const takeCheckpoint = async (sealed: Uint8Array): Promise<void> => {
		if (!isResponsible()) return;
		try {
			await office.checkpoint(openCheckpoint(secrets.current.psk, own.wid, sealed));
		} catch (error) {
			if (!isMeshError(error)) throw error;
			// The owner sees that it was not taken, and looks again.
			log.info('the owner’s confirmation of the members does not hold here', { error });
		}
	};

	directory.onCharter = takeCharter;
	directory.onDrain = leave;
	const listening = directory.listen({
		onMember(wid, event) {
			if (wid !== own.wid || event.type === 'updated') return;
			if (event.type === 'removed') {
				driver?.lost(event.record.slot, event.cause);
				groups?.tend();
			}
			observe();
		},
		onMemberSession: ({ principal }: Session<PeerPrincipal>) => shareWith(principal.cert.replicaId),
		onSuperseded(slot, gen) {
			workplane.setRole('superseded');
			leave(`slot ${slot} belongs to generation ${gen} now`);
		},
		onPublish(advertisement) {
			const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(PUT_MS)]);
			network.dht?.put(advertisement, signal).catch((error) => log.debug('record not put', { error }));
		},
	});

	// Our slot may have been another's before we listened.
	directory.learnMembers();

	const seeker = new Seeker({
		...{ directory, host, log },
		dht: network.dht,
		desired: () => charter.opened.charter.body.replicas,
	});

	const listen = async (): Promise<void> => {
		while (!abort.signal.aborted) {
			try {
				for await (const event of host.calls.events({}, { signal: abort.signal })) {
					if (event.type === 'charter') takeCharter(event.charter, event.manifest);
					else if (event.type === 'checkpoint') void takeCheckpoint(event.sealed);
					else if (event.type === 'mesh-epoch') takeMeshEpoch(event.epoch);
					else retreat(event.reason);
				}
			} catch (error) {
				if (!isMeshError(error)) throw error;
				log.debug('the host is silent', { error });
			}
			await delay(EVENTS_AGAIN_MS, undefined, { signal: abort.signal }).catch(() => undefined);
		}
	};
	void listen();

	const connection = host.onConnection((isConnected) => {
		if (workplane.state !== 'joining') workplane.setState(isConnected ? 'serving' : 'degraded');
		if (isConnected) {
			workplane.announce();
			roster.soon();
		} else
			workplane.warn(
				new MeshError('unavailable', 'the host is away: this replica serves on, but nothing heals through it'),
			);
	});

	workplane.add({
		async leave() {
			driver?.setResponsible(false);
			// Of a deleted workload nobody takes anything over.
			if (!charter.opened.charter.body.deleted) await groups?.leave();
		},
		async close() {
			abort.abort();
			seeker.close();
			clearInterval(housekeeping);
			follower.close();
			epochKeeping.close();
			roster.close();
			listening[Symbol.dispose]();
			connection[Symbol.dispose]();
			driver?.close();
			await groups?.close();
		},
	});
	// Nobody acts for others before it has joined.
	workplane.on('state', observe, abort);
	return {
		async openMembers() {
			if (host.canPlace) await groups?.openMembers();
		},
		async meet(hints) {
			await roster.keepNow();
			const isMember = ({ replicaId }: MemberHint): boolean => trust.chain(own.wid)?.member(replicaId) !== undefined;
			const met = seeker.meet(hints.filter(isMember));
			// Hosts name replicas for a while after they are gone.
			void seeker.meet(hints);
			await met;
		},
	};
}

/** The last generation of every slot: the next replica of a slot is of the one after. */
function generationsOf(chain: EpochChain | undefined): ReadonlyMap<number, number> {
	const { members = [], vacant = [] } = chain?.head.body ?? {};
	return new Map([...members, ...vacant].map(({ slot, gen }) => [slot, gen]));
}

function liveReplicas(own: WorkloadView): LiveReplica[] {
	return own.live().map(({ record }) => {
		const { replicaId, slot, gen, manifestCid, ready, leaving, machineId, addresses } = record;
		return { replicaId, slot, gen, manifestCid, ready, leaving, machineId, addresses };
	});
}
