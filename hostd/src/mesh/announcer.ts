/**
 * Says that this host is there: a signed presence every 5 s, and soon after something changed. Changes in quick
 * succession (reservations come and go with every tender) make one announcement.
 */
import { type Signer, signRecord } from '@beemesh/sdk/identity';
import type { MachineId, Presence } from '@beemesh/sdk/wire';
import type { Clock } from './clock.ts';

const PRESENCE_TTL_MS = 15_000;
const REFRESH_MS = 5_000;
const COALESCE_MS = 250;

/** What a host says of itself that changes while it runs. */
export interface PresenceSource {
	current(): Pick<Presence, 'runtime' | 'version' | 'capacity' | 'free' | 'pods' | 'leaving'>;
	/** Calls back when `current()` says something new. Returns how to stop. */
	onChange(listener: () => void): () => void;
}

export interface AnnouncerOptions {
	readonly machineId: MachineId;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly addresses: () => readonly string[];
	readonly source: PresenceSource;
	readonly signer: Signer;
	readonly clock: Clock;
	readonly send: (envelope: Uint8Array) => void;
}

export class Announcer {
	readonly #options: AnnouncerOptions;
	readonly #unsubscribe: () => void;
	#seq = 0;
	#sentAtMs = Number.NEGATIVE_INFINITY;
	#stop: (() => void) | undefined;
	#dueMs = Number.POSITIVE_INFINITY;

	constructor(options: AnnouncerOptions) {
		this.#options = options;
		this.#unsubscribe = options.source.onChange(() => this.announceSoon());
		this.#announce();
	}

	/** This host as it is now. */
	presence(): Presence {
		return this.#body(PRESENCE_TTL_MS, this.#seq);
	}

	/** Signed anew, so newer than any before it. */
	envelope(): Uint8Array {
		return signRecord('presence', this.#body(PRESENCE_TTL_MS, this.#nextSeq()), this.#options.signer);
	}

	announceSoon(): void {
		const nowMs = this.#options.clock.nowMs();
		this.#schedule(Math.max(nowMs, this.#sentAtMs + COALESCE_MS));
	}

	/** The last word: a presence that is over when it begins. */
	goodbye(): Uint8Array {
		this.#stop?.();
		this.#unsubscribe();
		return signRecord('presence', { ...this.#body(0, this.#nextSeq()), leaving: true }, this.#options.signer);
	}

	#announce(): void {
		const nowMs = this.#options.clock.nowMs();
		this.#sentAtMs = nowMs;
		this.#dueMs = Number.POSITIVE_INFINITY;
		this.#options.send(this.envelope());
		this.#schedule(nowMs + REFRESH_MS);
	}

	#schedule(dueMs: number): void {
		if (dueMs >= this.#dueMs) return;
		this.#stop?.();
		this.#dueMs = dueMs;
		const { clock } = this.#options;
		this.#stop = clock.after(Math.max(0, dueMs - clock.nowMs()), () => this.#announce());
	}

	/** Time starts the count, so that a restarted host is newer than it was. */
	#nextSeq(): number {
		this.#seq = Math.max(this.#seq + 1, this.#options.clock.nowMs());
		return this.#seq;
	}

	#body(ttlMs: number, seq: number): Presence {
		const { machineId, name, labels, addresses, source, clock } = this.#options;
		const nowMs = clock.nowMs();
		return {
			machineId,
			name,
			addresses: [...addresses()],
			labels: { ...labels },
			...source.current(),
			seq,
			ts: nowMs,
			exp: nowMs + ttlMs,
		};
	}
}
