/**
 * Linearizable reads of this process (thesis §6.4): ask for an index, wait until it is applied here, look. Asking
 * again after a change of leaders is always safe, so a read only fails when no leader is found.
 */
import { MeshError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { GroupConfig } from './config.ts';
import type { ReadResult } from './core/index.ts';
import type { Patience } from './patience.ts';

interface Waiting {
	readonly createdMs: number;
	/** Known once the core answered. */
	index: number | undefined;
	readonly ready: () => void;
	readonly fail: (error: MeshError) => void;
}

export interface ReadRoutes {
	hasLeader(): boolean;
	/** To the local core; the result comes back by `id`. */
	ask(id: number): void;
	appliedIndex(): number;
	isDiskFull(): boolean;
	needsSweep(): void;
}

export class Reads {
	private readonly routes: ReadRoutes;
	private readonly config: GroupConfig;
	private readonly clock: Clock;
	private readonly patience: Patience;
	private nextId = 1;
	private readonly asked = new Map<number, Waiting>();
	/** Unordered: there are few, and all are looked at when something was applied. */
	private readonly behind = new Set<Waiting>();
	private readonly unasked = new Set<Waiting>();

	constructor(
		routes: ReadRoutes,
		config: GroupConfig,
		{ clock, patience }: { readonly clock: Clock; readonly patience: Patience },
	) {
		this.routes = routes;
		this.config = config;
		this.clock = clock;
		this.patience = patience;
	}

	get count(): number {
		return this.asked.size + this.behind.size + this.unasked.size;
	}

	/** Resolves when looking at the state of this replica is linearizable. */
	barrier(signal: AbortSignal | undefined): Promise<void> {
		if (signal?.aborted) return Promise.reject(cancelled(signal));
		if (this.count >= this.config.outstandingMax) {
			return Promise.reject(
				new MeshError('exhausted', `${this.count} reads wait already; try again when some have ended`),
			);
		}
		return new Promise((resolve, reject) => {
			const onAbort = (): void => this.end(waiting, cancelled(signal as AbortSignal));
			const waiting: Waiting = {
				createdMs: this.clock.nowMs(),
				index: undefined,
				ready: () => {
					signal?.removeEventListener('abort', onAbort);
					resolve();
				},
				fail: (error) => {
					signal?.removeEventListener('abort', onAbort);
					reject(error);
				},
			};
			signal?.addEventListener('abort', onAbort, { once: true });
			this.ask(waiting);
			this.routes.needsSweep();
		});
	}

	results(results: readonly ReadResult[]): void {
		for (const result of results) {
			const waiting = this.asked.get(result.id);
			if (waiting === undefined) continue;
			this.asked.delete(result.id);
			if (result.outcome === 'refused') this.unasked.add(waiting);
			else if (result.index <= this.routes.appliedIndex()) waiting.ready();
			else {
				waiting.index = result.index;
				this.behind.add(waiting);
			}
		}
	}

	applied(index: number): void {
		for (const waiting of this.behind) {
			if ((waiting.index as number) > index) continue;
			this.behind.delete(waiting);
			waiting.ready();
		}
	}

	leadershipChanged(): void {
		if (!this.routes.hasLeader()) return;
		const again = [...this.unasked];
		this.unasked.clear();
		for (const waiting of again) this.ask(waiting);
	}

	sweep(): void {
		const nowMs = this.clock.nowMs();
		const waitMs = this.patience.waitMs(nowMs);
		for (const waiting of this.all()) {
			const isFull = this.routes.isDiskFull();
			const limitMs = this.routes.hasLeader() && !isFull ? this.config.callTimeoutMs : waitMs;
			if (nowMs - waiting.createdMs >= limitMs) this.end(waiting, isFull ? DISK_FULL() : NO_QUORUM());
		}
		this.leadershipChanged();
	}

	failAll(error: MeshError): void {
		for (const waiting of this.all()) this.end(waiting, error);
	}

	private ask(waiting: Waiting): void {
		if (!this.routes.hasLeader()) {
			this.unasked.add(waiting);
			return;
		}
		const id = this.nextId++;
		this.asked.set(id, waiting);
		this.routes.ask(id);
	}

	private all(): Waiting[] {
		return [...this.asked.values(), ...this.behind, ...this.unasked];
	}

	private end(waiting: Waiting, error: MeshError): void {
		this.behind.delete(waiting);
		this.unasked.delete(waiting);
		for (const [id, other] of this.asked) if (other === waiting) this.asked.delete(id);
		waiting.fail(error);
	}
}

const NO_QUORUM = (): MeshError =>
	new MeshError('no_quorum', 'no majority of the group confirmed the read; try again when it is back, or read stale');

const DISK_FULL = (): MeshError =>
	new MeshError('disk_full', 'this replica cannot catch up, because its log has no room: free space, or ask another');

function cancelled(signal: AbortSignal): MeshError {
	return new MeshError('cancelled', 'the read was cancelled by its caller', { applied: 'no', cause: signal.reason });
}
