/**
 * What a replica does besides serving: follows its charter, obeys its host, keeps the replica count when it is the one
 * responsible, puts itself into the DHT, and leaves when a newer replica has its slot.
 */
import type { WorkloadView } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import { type LiveReplica, ReplicaDriver } from '../replicas/driver.ts';
import type { JoinComponents } from './join.ts';
import type { LiveWorkplane } from './workplane.ts';

const FIND_EVERY_MS = 5000;
const FIND_LIMIT_MS = 4000;
const EVENTS_AGAIN_MS = 500;

export async function superviseReplica(
	workplane: LiveWorkplane,
	components: JoinComponents,
	_foundingSlots: number,
): Promise<void> {
	const { host, directory, charter, context, network, log, metrics } = workplane.parts;
	const { exit } = components;
	const own = directory.own;
	const abort = new AbortController();

	const leave = (reason: string, code = 0): void => {
		void workplane.drain({ reason }).then(() => exit?.(code));
	};

	const driver = host.canPlace
		? new ReplicaDriver(
				{
					calls: () => host.calls,
					bundle: () => charter.opened,
					machineId: context.machineId,
					machineAddresses: context.machineAddresses,
					live: () => liveReplicas(own),
					generations: () => own.generations(),
					drain: (replica, reason) => {
						if (replica === directory.record.replicaId) leave(reason);
						else directory.member(replica)?.drain({ reason }).catch((error) => log.debug('replica not drained', { error }));
					},
					commit: async () => {},
					onReconcile: (status) => workplane.emit('reconcile', status),
				},
				log,
				metrics,
			)
		: undefined;

	const observe = (): void => {
		driver?.setResponsible(own.live()[0]?.record.replicaId === directory.record.replicaId && !workplane.signal.aborted);
		driver?.observe();
	};

	const share = (): void => {
		const { bundle } = charter.opened;
		const generations: [number, number][] = [...own.generations()];
		const news = { charter: bundle.charter, manifest: bundle.manifest, generations };
		for (const { record } of own.live()) {
			directory.member(record.replicaId)?.share(news).catch((error) => log.debug('news not shared', { error }));
		}
	};

	const takeCharter = (envelope: Uint8Array, manifest: Uint8Array | undefined): void => {
		if (!charter.offer(envelope, manifest, (error) => workplane.warn(error))) return;
		const { era, replicas, deleted } = charter.opened.charter.body;
		log.info('charter changed', { era, replicas, deleted });
		share();
		if (deleted) leave('the workload has been deleted');
		else driver?.charterChanged();
	};

	directory.onCharter = takeCharter;
	directory.onDrain = (reason) => leave(reason);
	directory.listen({
		onMember(wid, event) {
			if (wid !== own.wid) return;
			if (event.type === 'removed') driver?.lost(event.record.slot, event.cause);
			if (event.type !== 'updated') observe();
		},
		onMemberSession: (session) => {
			const { bundle } = charter.opened;
			const generations: [number, number][] = [...own.generations()];
			directory
				.member(session.principal.cert.replicaId)
				?.share({ charter: bundle.charter, manifest: bundle.manifest, generations })
				.catch((error) => log.debug('news not shared', { error }));
		},
		onSuperseded(slot, gen) {
			workplane.setRole('superseded');
			leave(`slot ${slot} belongs to generation ${gen} now`);
		},
		onPublish(advertisement) {
			void network.dht
				?.put(advertisement, AbortSignal.any([abort.signal, AbortSignal.timeout(FIND_LIMIT_MS)]))
				.catch((error) => log.debug('record not put', { error }));
		},
	});

	const find = async (): Promise<void> => {
		if (network.dht === undefined || own.live().length >= charter.opened.charter.body.replicas) return;
		try {
			const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(FIND_LIMIT_MS)]);
			for await (const bytes of network.dht.find(signal)) directory.learn(bytes);
		} catch (error) {
			log.debug('lookup in the DHT ended', { error });
		}
	};
	const finding = setInterval(() => void find(), FIND_EVERY_MS);

	const listen = async (): Promise<void> => {
		while (!abort.signal.aborted) {
			try {
				for await (const event of host.calls.events({}, { signal: abort.signal })) {
					if (event.type === 'charter') takeCharter(event.charter, event.manifest);
					else leave(event.reason);
				}
			} catch (error) {
				if (!isMeshError(error)) throw error;
				log.debug('host is silent', { error });
			}
			await delay(EVENTS_AGAIN_MS, abort.signal);
		}
	};
	void listen();

	const connection = host.onConnection((isConnected) => {
		workplane.setState(isConnected ? 'serving' : 'degraded');
		if (isConnected) workplane.announce();
		else workplane.warn(new MeshError('unavailable', 'the host is away: this replica serves on, but cannot be healed by it'));
	});

	workplane.add({
		async leave() {
			driver?.setResponsible(false);
		},
		close() {
			abort.abort();
			clearInterval(finding);
			connection[Symbol.dispose]();
			driver?.close();
		},
	});
	observe();
}

function liveReplicas(own: WorkloadView): LiveReplica[] {
	return own.live().map(({ record }) => {
		const { replicaId, slot, gen, manifestCid, ready, machineId, addresses } = record;
		return { replicaId, slot, gen, manifestCid, ready, machineId, addresses };
	});
}

function delay(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(done, ms);
		function done(): void {
			clearTimeout(timer);
			signal.removeEventListener('abort', done);
			resolve();
		}
		signal.addEventListener('abort', done, { once: true });
	});
}
