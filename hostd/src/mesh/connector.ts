/**
 * Keeps sessions: with the bootstrap hosts, for ever; with every host that is present (a mesh of up to 64 hosts is
 * fully connected); and with those that were lost, long enough for a partition to heal whose far side holds no
 * bootstrap host.
 */
import type { RpcNode } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import type { MachineId } from '@beemesh/sdk/wire';
import type { Clock } from './clock.ts';
import { type Backoff, createBackoff } from './core/backoff.ts';

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 5_000;
const DIAL_TIMEOUT_MS = 5_000;
/** Of two hosts that hear of each other, the one with the higher ID lets the other dial first. */
const YIELD_MS = 300;
/** How long a host that was lost is dialed again. */
const GIVE_UP_MS = 10 * 60_000;
/** Beyond this many sessions a host dials nobody of its own accord. */
const SESSIONS_MAX = 64;

interface Target {
	addresses: readonly string[];
	readonly bootstrap: boolean;
	readonly backoff: Backoff;
	dialing: boolean;
	warned: boolean;
	giveUpAtMs: number;
	stop: (() => void) | undefined;
}

export interface ConnectorOptions {
	readonly machineId: MachineId;
	readonly rpc: RpcNode<unknown>;
	readonly clock: Clock;
	readonly logger: Logger;
	/** In [0, 1). */
	readonly random: () => number;
}

export class Connector {
	readonly #options: ConnectorOptions;
	readonly #targets = new Map<MachineId, Target>();
	readonly #closing = new AbortController();

	constructor(options: ConnectorOptions) {
		this.#options = options;
	}

	/** Dials until it answers, and again whenever it is lost. */
	bootstrap(machineId: MachineId, address: string): void {
		if (machineId === this.#options.machineId) return;
		const known = this.#targets.get(machineId);
		if (known !== undefined) known.addresses = [...known.addresses, address];
		else this.#dialSoon(machineId, this.#add(machineId, [address], true), 0);
	}

	/** Wants a session with a host that is present. `isUp`: it has just come, so do not wait for the next try. */
	want(machineId: MachineId, addresses: readonly string[], isUp: boolean): void {
		if (machineId === this.#options.machineId) return;
		const target = this.#targets.get(machineId) ?? this.#add(machineId, addresses, false);
		target.addresses = [...addresses];
		target.giveUpAtMs = Number.POSITIVE_INFINITY;
		if (this.#options.rpc.get(machineId) !== undefined || target.dialing) return;
		if (target.stop !== undefined && !isUp) return;
		target.stop?.();
		this.#dialSoon(machineId, target, this.#options.machineId < machineId ? 0 : YIELD_MS);
	}

	/** The session ended: try again at once, in case only the connection broke. */
	lost(machineId: MachineId): void {
		const target = this.#targets.get(machineId);
		if (target === undefined || target.dialing || target.stop !== undefined) return;
		target.giveUpAtMs = this.#options.clock.nowMs() + GIVE_UP_MS;
		this.#dialSoon(machineId, target, target.backoff.next(this.#options.random()));
	}

	/** The host said goodbye. Bootstrap hosts are tried all the same. */
	forget(machineId: MachineId): void {
		const target = this.#targets.get(machineId);
		if (target === undefined || target.bootstrap) return;
		target.stop?.();
		this.#targets.delete(machineId);
	}

	/** Never again, whoever it is: it has been revoked. */
	drop(machineId: MachineId): void {
		this.#targets.get(machineId)?.stop?.();
		this.#targets.delete(machineId);
	}

	close(): void {
		this.#closing.abort();
		for (const target of this.#targets.values()) target.stop?.();
		this.#targets.clear();
	}

	#add(machineId: MachineId, addresses: readonly string[], bootstrap: boolean): Target {
		const backoff = createBackoff(RETRY_MIN_MS, RETRY_MAX_MS);
		const target: Target = {
			addresses,
			bootstrap,
			backoff,
			dialing: false,
			warned: false,
			giveUpAtMs: Number.POSITIVE_INFINITY,
			stop: undefined,
		};
		this.#targets.set(machineId, target);
		return target;
	}

	#dialSoon(machineId: MachineId, target: Target, ms: number): void {
		if (this.#closing.signal.aborted) return;
		target.stop = this.#options.clock.after(ms, () => {
			target.stop = undefined;
			void this.#dial(machineId, target);
		});
	}

	async #dial(machineId: MachineId, target: Target): Promise<void> {
		const { rpc, logger } = this.#options;
		if (rpc.get(machineId) !== undefined) return;
		if (!target.bootstrap && rpc.sessions().length >= SESSIONS_MAX) return;
		target.dialing = true;
		try {
			const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]);
			await rpc.connect(machineId, { addresses: target.addresses, signal });
			target.backoff.reset();
			target.warned = false;
		} catch (error) {
			if (this.#closing.signal.aborted || this.#targets.get(machineId) !== target) return;
			if (!target.bootstrap && this.#options.clock.nowMs() >= target.giveUpAtMs) {
				this.#targets.delete(machineId);
				return;
			}
			const retryInMs = target.backoff.next(this.#options.random());
			// One warning per outage: somebody may have to correct an address. The rest is detail.
			const say = target.bootstrap && !target.warned ? logger.warn : logger.debug;
			say.call(logger, 'cannot reach host: trying again', { machineId, addresses: target.addresses, retryInMs, error });
			target.warned = true;
			this.#dialSoon(machineId, target, retryInMs);
		} finally {
			target.dialing = false;
		}
	}
}
