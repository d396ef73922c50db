/**
 * One watch and one poll for all browsers: follows the store's changes and the state of its replicas, and hands both to
 * any number of event streams. It survives every failure of the store: it tells the pages, and tries again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Change, jsonValue } from '@beemesh/example-kv-store/keys';
import type { SseEvent } from '@beemesh/example-kv-store/kit';
import { isMeshError } from '@beemesh/sdk';
import type { Overview } from './overview.ts';

export interface LiveSource {
	overview(signal: AbortSignal): Promise<Overview>;
	watch(options: { readonly from?: number; readonly signal: AbortSignal }): Promise<AsyncIterable<Change>>;
}

export interface LiveConfig {
	/** Milliseconds between two looks at the replicas. */
	readonly pollMs: number;
	/** Milliseconds before a broken watch is opened again. */
	readonly retryMs: number;
	/** Changes that a page gets to see when it opens. */
	readonly recentMax: number;
	/** Events that wait for a slow browser before its stream is cut; it then connects again and reads anew. */
	readonly queueMax: number;
}

export const LIVE_DEFAULTS: LiveConfig = { pollMs: 500, retryMs: 250, recentMax: 50, queueMax: 1000 };

export class Live {
	readonly #source: LiveSource;
	readonly #config: LiveConfig;
	readonly #signal: AbortSignal;
	readonly #pages = new Set<Page>();
	#recent: SseEvent[] = [];
	#overview: Promise<Overview>;
	#shown = '';

	/** Runs until `signal` aborts. */
	constructor(source: LiveSource, signal: AbortSignal, config: LiveConfig = LIVE_DEFAULTS) {
		this.#source = source;
		this.#config = config;
		this.#signal = signal;
		this.#overview = source.overview(signal);
		// The loops handle failures of the store themselves; what is left is a mistake in here, and ends the process.
		void this.#pollLoop();
		void this.#watchLoop();
	}

	/** The latest look at the replicas. */
	overview(): Promise<Overview> {
		return this.#overview;
	}

	/** What a page needs to know now, then everything that happens. */
	async *events(signal: AbortSignal): AsyncIterable<SseEvent> {
		const page: Page = { queue: [...this.#recent], wake: () => {} };
		this.#pages.add(page);
		const abort = (): void => page.wake();
		signal.addEventListener('abort', abort, { once: true });
		try {
			yield { event: 'overview', data: await this.#overview };
			while (!signal.aborted && page.queue.length <= this.#config.queueMax) {
				const event = page.queue.shift();
				if (event !== undefined) yield event;
				else await new Promise<void>((resolve) => (page.wake = resolve));
			}
		} finally {
			signal.removeEventListener('abort', abort);
			this.#pages.delete(page);
		}
	}

	async #pollLoop(): Promise<void> {
		while (!this.#signal.aborted) {
			const overview = await this.#overview.catch(() => undefined);
			const text = JSON.stringify(overview);
			if (overview !== undefined && text !== this.#shown) {
				this.#shown = text;
				this.#publish({ event: 'overview', data: overview });
			}
			await this.#pause(this.#config.pollMs);
			const next = this.#source.overview(this.#signal);
			// Pages go on seeing the last look until the next one is complete.
			if ((await next.catch(() => undefined)) !== undefined) this.#overview = next;
		}
	}

	async #watchLoop(): Promise<void> {
		let from: number | undefined;
		while (!this.#signal.aborted) {
			try {
				const options = from === undefined ? {} : { from };
				for await (const change of await this.#source.watch({ ...options, signal: this.#signal })) {
					from = change.rev + 1;
					this.#remember(change);
				}
			} catch (error) {
				if (isMeshError(error, 'not_found')) {
					// We were away for longer than changes are kept: pages must read the keys again.
					from = undefined;
					this.#publish({ event: 'reload', data: {} });
				}
			}
			await this.#pause(this.#config.retryMs);
		}
	}

	#remember({ key, value, rev }: Change): void {
		const type = value === undefined ? 'delete' : 'put';
		// A page shows one line of a value; whoever wants all of it reads the key.
		const start = value === undefined ? {} : jsonValue(value.subarray(0, lineEnd(value)));
		const data = { key, rev, type, ...start };
		const event: SseEvent = { event: 'change', data };
		this.#recent = [...this.#recent, event].slice(-this.#config.recentMax);
		this.#publish(event);
	}

	#publish(event: SseEvent): void {
		for (const page of this.#pages) {
			page.queue.push(event);
			page.wake();
		}
	}

	async #pause(ms: number): Promise<void> {
		await delay(ms, undefined, { signal: this.#signal }).catch(() => {});
	}
}

interface Page {
	readonly queue: SseEvent[];
	wake: () => void;
}

const LINE_BYTES_MAX = 512;

/** Where to cut a long value: at {@link LINE_BYTES_MAX}, but never inside a UTF-8 character. */
function lineEnd(value: Uint8Array): number {
	let end = Math.min(value.length, LINE_BYTES_MAX);
	while (end < value.length && end > LINE_BYTES_MAX - 4 && ((value[end] ?? 0) & 0xc0) === 0x80) end--;
	return end;
}
