/**
 * Looks for replicas of our own workload that sessions have not brought: those the admission named, those the host
 * knows, those in the DHT. Rests while as many as there should be are known, but not for ever: after a partition each of
 * two groups may think itself complete.
 */
import type { Directory, WorkloadDht } from '../discovery/index.ts';
import type { MemberHint } from '../replicas/placement-api.ts';
import type { Logger } from '../telemetry/index.ts';
import type { ReplicaId } from '../wire/index.ts';
import type { PodHost } from './host.ts';

const DIAL_MS = 3000;
/** A member that was admitted a moment before us may not listen yet. */
const EVERY_MS = 500;
const REST_MS = 5000;
/** In rests. Rare, because the host asks other hosts. */
const DOUBT_EVERY = 12;
/** In searches: the host is asked in every second one, the DHT in every tenth. */
const HOST_EVERY = 2;
const DHT_EVERY = 10;
const DHT_MS = 4000;
const HINTS_MAX = 64;

export interface SeekerOptions {
	readonly directory: Directory;
	readonly host: PodHost;
	readonly dht: WorkloadDht | undefined;
	/** How many replicas there should be. */
	readonly desired: () => number;
	readonly log: Logger;
}

export class Seeker {
	readonly #options: SeekerOptions;
	readonly #hints = new Map<ReplicaId, MemberHint>();
	readonly #abort = new AbortController();
	#timer: NodeJS.Timeout | undefined;
	#round = 0;
	#rests = 0;

	constructor(options: SeekerOptions) {
		this.#options = options;
		this.#timer = setTimeout(() => void this.#search(), EVERY_MS);
	}

	/** Dials these, and goes on until they are met or nobody is missing. */
	async meet(hints: readonly MemberHint[]): Promise<void> {
		const { directory } = this.#options;
		for (const hint of hints) {
			if (hint.replicaId === directory.record.replicaId) continue;
			if (this.#hints.size < HINTS_MAX) this.#hints.set(hint.replicaId, hint);
		}
		await Promise.all([...this.#hints.values()].map((hint) => this.#dial(hint)));
	}

	close(): void {
		this.#abort.abort();
		clearTimeout(this.#timer);
	}

	async #search(): Promise<void> {
		const { directory, desired, log } = this.#options;
		const isComplete = directory.own.live().length >= desired();
		this.#round = isComplete ? 0 : this.#round + 1;
		this.#rests = isComplete ? this.#rests + 1 : 0;
		const isInDoubt = isComplete && this.#rests % DOUBT_EVERY === 0;
		if (isComplete && !isInDoubt) this.#hints.clear();
		else {
			try {
				if (isInDoubt || this.#round % HOST_EVERY === 0) await this.#askHost();
				await this.meet([]);
				if (isInDoubt || this.#round % DHT_EVERY === 0) await this.#askDht();
			} catch (error) {
				if (!this.#abort.signal.aborted) log.debug('search for replicas interrupted', { error });
			}
		}
		if (this.#abort.signal.aborted) return;
		this.#timer = setTimeout(() => void this.#search(), isComplete ? REST_MS : EVERY_MS);
	}

	async #askHost(): Promise<void> {
		const { host, directory } = this.#options;
		const { found } = await host.calls.resolve({ by: 'id', wid: directory.own.wid }, { signal: this.#abort.signal });
		// What the host says now replaces what it said before.
		this.#hints.clear();
		await this.meet(found.flatMap(({ members }) => members));
	}

	async #askDht(): Promise<void> {
		const { dht, directory, log } = this.#options;
		if (dht === undefined) return;
		for await (const bytes of dht.find(AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DHT_MS)]))) {
			try {
				directory.learn(bytes);
			} catch (error) {
				log.debug('record from the DHT refused', { error });
			}
		}
	}

	async #dial({ replicaId, addresses }: MemberHint): Promise<void> {
		const { directory, log } = this.#options;
		if (directory.node.get(replicaId) !== undefined) return;
		try {
			const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DIAL_MS)]);
			await directory.dial(replicaId, addresses, signal);
			this.#hints.delete(replicaId);
		} catch (error) {
			log.debug('replica not reached', { replicaId, error });
		}
	}
}
