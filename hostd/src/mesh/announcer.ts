/**
 * Says that this host is there: a signed presence every 5 s, for everybody, and what changed in between to those who have
 * a session with us, unsigned, for the session says whose word it is. Changes in quick succession (reservations come and
 * go with every tender) make one report.
 */
import { type Signer, signRecord } from '@beemesh/sdk/identity';
import { effectiveLabels, type Labels, type MachineId, type Presence } from '@beemesh/sdk/wire';
import type { Clock } from './clock.ts';
import { introductionOf } from './hello.ts';

const PRESENCE_TTL_MS = 15_000;
const REFRESH_MS = 5_000;
const COALESCE_MS = 250;
const INTRODUCTION_MS = 1_000;
/** Announcements that carry our certificate, for hosts that hear of us by gossip alone: the first ones, and then one in so many. */
const FULL_FIRST = 3;
const FULL_EVERY = 12;

/** What a host says of itself that changes while it runs. */
export interface PresenceSource {
	current(): Pick<Presence, 'runtime' | 'version' | 'capacity' | 'free' | 'pods' | 'leaving'>;
	/** Calls back when `current()` says something new. Returns how to stop. */
	onChange(listener: () => void): () => void;
}

export interface AnnouncerOptions {
	readonly machineId: MachineId;
	readonly name: string;
	/** What this host is configured to say of itself, and what its certificate says of it. */
	readonly labels: Labels;
	readonly certified: () => Labels;
	readonly addresses: () => readonly string[];
	readonly source: PresenceSource;
	readonly signer: Signer;
	readonly credential: () => Uint8Array;
	readonly clock: Clock;
	readonly send: (introduction: Uint8Array) => void;
	/** To direct neighbours. */
	readonly report: (presence: Presence) => void;
}

export class Announcer {
	readonly #options: AnnouncerOptions;
	readonly #unsubscribe: () => void;
	#seq = 0;
	#count = 0;
	#introduction: { readonly bytes: Uint8Array; readonly madeAtMs: number } | undefined;
	#saidAtMs = Number.NEGATIVE_INFINITY;
	#stop: (() => void) | undefined;
	#stopReport: (() => void) | undefined;

	constructor(options: AnnouncerOptions) {
		this.#options = options;
		this.#unsubscribe = options.source.onChange(() => this.#reportSoon());
		this.announce();
	}

	/** This host as it is now. */
	presence(): Presence {
		return this.#body(PRESENCE_TTL_MS, this.#seq);
	}

	/** With our certificate, for one who may not know us. Signed in the last second: many sessions open at once. */
	introduction(): Uint8Array {
		const nowMs = this.#options.clock.nowMs();
		if (this.#introduction === undefined || nowMs > this.#introduction.madeAtMs + INTRODUCTION_MS) {
			const bytes = introductionOf(this.#sign(PRESENCE_TTL_MS), this.#options.credential());
			this.#introduction = { bytes, madeAtMs: nowMs };
		}
		return this.#introduction.bytes;
	}

	/** The next introduction is to be newer than any before it. */
	renew(): void {
		this.#introduction = undefined;
	}

	/** Signed, and now. */
	announce(): void {
		this.#stop?.();
		const nowMs = this.#options.clock.nowMs();
		this.renew();
		const isFull = this.#count < FULL_FIRST || this.#count % FULL_EVERY === 0;
		this.#count++;
		this.#saidAtMs = nowMs;
		this.#options.send(isFull ? this.introduction() : introductionOf(this.#sign(PRESENCE_TTL_MS)));
		this.#stop = this.#options.clock.after(REFRESH_MS, () => this.announce());
	}

	/** The last word: a presence that is over when it begins. */
	goodbye(): Uint8Array {
		this.#stop?.();
		this.#stopReport?.();
		this.#unsubscribe();
		return introductionOf(this.#sign(0, { leaving: true }));
	}

	#sign(ttlMs: number, change: Partial<Presence> = {}): Uint8Array {
		return signRecord('presence', { ...this.#body(ttlMs, this.#nextSeq()), ...change }, this.#options.signer);
	}

	#reportSoon(): void {
		if (this.#stopReport !== undefined) return;
		const { clock, report } = this.#options;
		this.#stopReport = clock.after(Math.max(0, this.#saidAtMs + COALESCE_MS - clock.nowMs()), () => {
			this.#stopReport = undefined;
			this.#saidAtMs = clock.nowMs();
			this.renew();
			report(this.#body(PRESENCE_TTL_MS, this.#nextSeq()));
		});
	}

	/** Time starts the count, so that a restarted host is newer than it was. */
	#nextSeq(): number {
		this.#seq = Math.max(this.#seq + 1, this.#options.clock.nowMs());
		return this.#seq;
	}

	#body(ttlMs: number, seq: number): Presence {
		const { machineId, name, labels, certified, addresses, source, clock } = this.#options;
		const nowMs = clock.nowMs();
		return {
			machineId,
			name,
			addresses: [...addresses()],
			labels: { ...effectiveLabels(certified(), labels) },
			...source.current(),
			seq,
			ts: nowMs,
			exp: nowMs + ttlMs,
		};
	}
}
