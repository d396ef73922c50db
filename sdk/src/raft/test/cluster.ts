/**
 * A group of several members in one process, on virtual time: nothing waits for a clock, and a seed decides every
 * election timeout and every delay. Members can be cut off, crashed and started again on what their disks hold.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Clock } from '../clock.ts';
import type { GroupSettings } from '../config.ts';
import type { MemberId } from '../core/index.ts';
import { openGroup } from '../group.ts';
import type { Group, GroupEvent, Machine, MemberIdentity } from '../group.types.ts';
import type { GroupLink } from '../link.ts';
import type { LogStore } from '../storage/log-store.ts';
import { MemoryMedium, openMemoryLog } from '../storage/memory/memory-log.ts';

const WALL_START_MS = 1_800_000_000_000;
const SETTLE_TURNS = 12;

interface Timer {
	readonly atMs: number;
	readonly order: number;
	readonly callback: () => void;
}

export class VirtualClock implements Clock {
	private currentMs = 0;
	private order = 0;
	private readonly timers = new Set<Timer>();

	nowMs(): number {
		return this.currentMs;
	}

	wallMs(): number {
		return WALL_START_MS + this.currentMs;
	}

	after(delayMs: number, callback: () => void): Disposable {
		const timer = { atMs: this.currentMs + Math.max(0, delayMs), order: this.order++, callback };
		this.timers.add(timer);
		return { [Symbol.dispose]: () => void this.timers.delete(timer) };
	}

	/** To the next timer. False when there is none. */
	fireNext(untilMs: number): boolean {
		let next: Timer | undefined;
		for (const timer of this.timers) {
			if (next === undefined || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order))
				next = timer;
		}
		if (next === undefined || next.atMs > untilMs) {
			this.currentMs = Math.max(this.currentMs, untilMs);
			return false;
		}
		this.timers.delete(next);
		this.currentMs = Math.max(this.currentMs, next.atMs);
		next.callback();
		return true;
	}
}

/** Deterministic, and well spread from the first number on (splitmix32). */
export function seededRandom(seed: number): () => number {
	let state = seed | 0;
	return () => {
		state = (state + 0x9e37_79b9) | 0;
		let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
		mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
		return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
	};
}

type Receiver = (from: MemberId, bytes: Uint8Array) => void;

export class Network {
	private readonly clock: VirtualClock;
	private readonly receivers = new Map<MemberId, Receiver>();
	private readonly lostListeners = new Map<MemberId, (member: MemberId) => void>();
	/** Members in different parts cannot hear each other; those not named are in part 0. */
	private parts = new Map<MemberId, number>();
	/** Return false to drop a message. */
	filter: (from: MemberId, to: MemberId, bytes: Uint8Array) => boolean = () => true;
	latencyMs = 1;

	constructor(clock: VirtualClock) {
		this.clock = clock;
	}

	link(self: MemberId): GroupLink {
		return {
			send: (to, bytes) => {
				if (!this.receivers.has(to) || !this.isOpen(self, to)) return false;
				if (!this.filter(self, to, bytes)) return true;
				const copy = bytes.slice();
				this.clock.after(this.latencyMs, () => {
					// What a dead process had under way is lost with its connections.
					if (this.isOpen(self, to) && this.receivers.has(self)) this.receivers.get(to)?.(self, copy);
				});
				return true;
			},
			onMessage: (listener) => {
				this.receivers.set(self, listener);
				return { [Symbol.dispose]: () => void this.receivers.delete(self) };
			},
			onLost: (listener) => {
				this.lostListeners.set(self, listener);
				return { [Symbol.dispose]: () => void this.lostListeners.delete(self) };
			},
		};
	}

	inject(from: MemberId, to: MemberId, bytes: Uint8Array): void {
		this.receivers.get(to)?.(from, bytes);
	}

	split(...parts: readonly (readonly MemberId[])[]): void {
		this.parts = new Map(parts.flatMap((part, i) => part.map((id) => [id, i] as const)));
	}

	heal(): void {
		this.parts = new Map();
	}

	/** Tells the others that this member's connections broke. */
	announceLost(member: MemberId): void {
		for (const [id, listener] of this.lostListeners) if (id !== member) listener(member);
	}

	private isOpen(a: MemberId, b: MemberId): boolean {
		return (this.parts.get(a) ?? 0) === (this.parts.get(b) ?? 0);
	}
}

export interface Counter {
	total: number;
	readonly log: number[];
}
export type Add = { readonly add: number };

/** Adds up, and remembers each command, so that one applied twice shows. */
export const counter: Machine<Counter, StandardSchemaV1<Add>, number> = {
	command: {
		'~standard': {
			version: 1,
			vendor: 'test',
			validate: (value) => {
				const { add } = value as Add;
				return typeof add === 'number'
					? { value: { add } }
					: { issues: [{ path: ['add'], message: 'must be a number' }] };
			},
		},
	},
	init: () => ({ total: 0, log: [] }),
	apply: (state, { add }) => {
		if (add < 0) throw new RangeError('must not be negative');
		state.log.push(add);
		state.total += add;
		return state.total;
	},
	snapshot: ({ total, log }) => Buffer.from(JSON.stringify({ total, log })),
	restore: async (bytes) => {
		const parts: Uint8Array[] = [];
		for await (const part of bytes) parts.push(part);
		return JSON.parse(Buffer.concat(parts).toString()) as Counter;
	},
};

export interface ClusterOptions<S, C extends StandardSchemaV1, R> {
	readonly machine: Machine<S, C, R>;
	readonly seed?: number;
	readonly settings?: GroupSettings;
	/** @default one memory medium per member */
	readonly store?: (id: MemberId) => LogStore;
}

type GroupOf<S, C extends StandardSchemaV1, R> = Group<S, StandardSchemaV1.InferInput<C>, R>;

export class Cluster<S, C extends StandardSchemaV1, R> implements AsyncDisposable {
	readonly clock = new VirtualClock();
	readonly network = new Network(this.clock);
	readonly groups = new Map<MemberId, GroupOf<S, C, R>>();
	readonly media = new Map<MemberId, MemoryMedium>();
	readonly events: { readonly id: MemberId; readonly event: GroupEvent }[] = [];
	private readonly options: ClusterOptions<S, C, R>;
	private starts = 0;

	constructor(options: ClusterOptions<S, C, R>) {
		this.options = options;
	}

	medium(id: MemberId): MemoryMedium {
		const medium = this.media.get(id) ?? new MemoryMedium();
		this.media.set(id, medium);
		return medium;
	}

	async start(id: MemberId, first?: readonly MemberId[]): Promise<GroupOf<S, C, R>> {
		const group = await openGroup({
			name: 'test',
			selfId: id,
			bootstrap: first?.map(identity),
			store: this.options.store?.(id) ?? openMemoryLog(this.medium(id)),
			link: this.network.link(id),
			machine: this.options.machine,
			clock: this.clock,
			random: seededRandom((this.options.seed ?? 1) * 1000 + id * 100 + ++this.starts),
			...(this.options.settings && { settings: this.options.settings }),
		});
		group.onEvent((event) => this.events.push({ id, event }));
		this.groups.set(id, group);
		return group;
	}

	async startAll(ids: readonly MemberId[]): Promise<void> {
		for (const id of ids) await this.start(id, ids);
	}

	group(id: MemberId): GroupOf<S, C, R> {
		const group = this.groups.get(id);
		if (group === undefined) throw new Error(`member ${id} is not running`);
		return group;
	}

	/** The process ends: no goodbye, its disk stays. Peers notice only by silence, unless told. */
	async crash(id: MemberId): Promise<void> {
		const group = this.group(id);
		this.groups.delete(id);
		this.network.split([id], [...this.groups.keys()]);
		await group[Symbol.asyncDispose]();
		this.network.heal();
	}

	get leader(): GroupOf<S, C, R> | undefined {
		const leaders = [...this.groups.values()].filter(({ role }) => role === 'leader');
		return leaders.sort((a, b) => Number(b.term - a.term))[0];
	}

	/** Lets virtual time pass until the condition holds; fails after `limitMs` of it. */
	async until(what: string, condition: () => boolean, limitMs = 30_000): Promise<void> {
		const endMs = this.clock.nowMs() + limitMs;
		await settle();
		while (!condition()) {
			if (!this.clock.fireNext(endMs)) throw new Error(`not within ${limitMs} ms of virtual time: ${what}`);
			await settle();
		}
	}

	/** The same until a promise ends; hands on how. */
	async run<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
		let isOver = false;
		const over = (): void => {
			isOver = true;
		};
		promise.then(over, over);
		await this.until('the promise ends', () => isOver, limitMs);
		return promise;
	}

	async pass(ms: number): Promise<void> {
		const endMs = this.clock.nowMs() + ms;
		await settle();
		while (this.clock.fireNext(endMs)) await settle();
	}

	async elected(): Promise<GroupOf<S, C, R>> {
		await this.until('a leader that everybody follows', () => {
			const { leader } = this;
			return leader !== undefined && [...this.groups.values()].every(({ leaderId }) => leaderId === leader.selfId);
		});
		return this.leader as GroupOf<S, C, R>;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const group of this.groups.values()) await group[Symbol.asyncDispose]();
	}
}

export function identity(id: MemberId): MemberIdentity {
	return { id, context: Buffer.from(`member ${id}`) };
}

/** Lets everything that is due without time passing happen: promises, and I/O of real files. */
async function settle(): Promise<void> {
	for (let i = 0; i < SETTLE_TURNS; i++) await Promise.resolve();
	await new Promise((resolve) => setImmediate(resolve));
}

export const failureOf = (promise: Promise<unknown>): Promise<Error & { code?: string; applied?: string }> =>
	promise.then(
		(value) => {
			throw new Error(`should have failed, got ${String(value)}`);
		},
		(error: unknown) => error as Error,
	);
