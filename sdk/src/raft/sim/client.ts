/**
 * A client that puts, reads and swaps, one call at a time, retrying under its session until it has an answer or gives
 * up. What it saw is the history that must be linearizable.
 */
import type { Call } from '../../testing/linearizable.ts';
import { type MemberId, NONE } from '../core/index.ts';
import type { Command } from './machine.ts';
import type { Reply, Request } from './process.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface ClientComponents {
	readonly random: Random;
	readonly schedule: Schedule;
	/** Sends a request to a member; the reply may never come. */
	readonly call: (to: MemberId, request: Request, respond: (reply: Reply) => void) => void;
	readonly members: () => readonly MemberId[];
	readonly history: Call[];
}

const ATTEMPT_MS = 200;
const NS_PER_MS = 1_000_000;

export class Client {
	readonly id: number;
	readonly #components: ClientComponents;
	readonly #keys: readonly string[];
	#sequence = 0;
	#target: MemberId = NONE;
	#lastSeen: string | null = null;
	#isStopping = false;
	isDone = false;

	constructor(id: number, keys: readonly string[], components: ClientComponents) {
		this.id = id;
		this.#keys = keys;
		this.#components = components;
	}

	start(): void {
		this.#next();
	}

	/** Finishes the call under way, reads every key once more, and ends. */
	stop(): void {
		this.#isStopping = true;
	}

	#next(): void {
		const { random, schedule } = this.#components;
		if (this.#isStopping) {
			this.#finalReads([...this.#keys]);
			return;
		}
		schedule.after(random() * 20, () => this.#start(random.pick(this.#keys), () => this.#next()));
	}

	#finalReads(keys: string[]): void {
		const key = keys.pop();
		if (key === undefined) this.isDone = true;
		else this.#read(key, () => this.#finalReads(keys));
	}

	#start(key: string, done: () => void): void {
		const { random } = this.#components;
		const kind = random();
		if (kind < 0.4) this.#read(key, done);
		else this.#write(key, kind < 0.7 ? 'put' : kind < 0.9 ? 'cas' : 'delete', done);
	}

	#read(key: string, done: () => void): void {
		const callNs = this.#nowNs();
		this.#attempt({ type: 'read', key }, Number.POSITIVE_INFINITY, (reply) => {
			if (reply?.type === 'value') {
				this.#lastSeen = reply.value;
				const result = reply.value;
				this.#record({ op: 'get', key, result, callNs, returnNs: this.#nowNs(), outcome: 'ok' });
			}
			done();
		});
	}

	#write(key: string, op: Command['op'], done: () => void): void {
		const { random } = this.#components;
		const sequence = ++this.#sequence;
		const value = `${this.id}.${sequence}`;
		const expect = op === 'cas' ? this.#lastSeen : null;
		const command: Command = { client: this.id, sequence, op, key, value, expect };
		const callNs = this.#nowNs();
		// Now and then a client loses patience: then nobody knows whether its write happened.
		const patienceMs = random.chance(0.1) ? 150 : 3000;
		this.#attempt({ type: 'write', command }, patienceMs, (reply) => {
			const returnNs = this.#nowNs();
			const outcome = reply?.type === 'written' ? 'ok' : 'unknown';
			const result = reply?.type === 'written' ? reply.answer : null;
			this.#record({ op, key, value, expect, result, callNs, returnNs, outcome });
			done();
		});
	}

	#record(call: Omit<Call, 'client'>): void {
		this.#components.history.push({ client: this.id, ...call });
	}

	#nowNs(): number {
		return Math.round(this.#components.schedule.nowMs * NS_PER_MS);
	}

	/** Tries one member after the other. */
	#attempt(request: Request, patienceMs: number, done: (reply: Reply | undefined) => void): void {
		const { random, schedule, call, members } = this.#components;
		const deadlineMs = schedule.nowMs + patienceMs;
		const tryOnce = () => {
			if (schedule.nowMs >= deadlineMs) {
				done(undefined);
				return;
			}
			if (this.#target === NONE || random.chance(0.2)) this.#target = random.pick(members());
			let isOver = false;
			const over = (next: () => void) => {
				if (isOver) return;
				isOver = true;
				next();
			};
			call(this.#target, request, (reply) => {
				over(() => {
					if (reply.type !== 'refused') {
						done(reply);
						return;
					}
					this.#target = reply.leader;
					schedule.after(5 + random() * 20, tryOnce);
				});
			});
			schedule.after(Math.min(ATTEMPT_MS, deadlineMs - schedule.nowMs), () => {
				over(() => {
					this.#target = NONE;
					tryOnce();
				});
			});
		};
		tryOnce();
	}
}
