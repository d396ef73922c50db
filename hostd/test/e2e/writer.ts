/** Writes new keys through any of several HTTP addresses, one after the other, and remembers what was acknowledged. */
import { setTimeout as delay } from 'node:timers/promises';

const ATTEMPT_MS = 3_000;
const PAUSE_MS = 20;

export class Writer {
	/** Key → value of every write that was answered with success. */
	readonly acknowledged = new Map<string, string>();
	readonly #addresses: () => readonly string[];
	readonly #waiters = new Set<() => void>();
	readonly #abort = new AbortController();
	readonly #running: Promise<void>;
	#lastError = '';

	/** `addresses` gives `HOST:PORT` of replicas of kv-store that may answer now. */
	constructor(addresses: () => readonly string[]) {
		this.#addresses = addresses;
		this.#running = this.#write();
	}

	/** Resolves after so many further acknowledged writes; rejects with the last error at the deadline. */
	async further(count: number, deadlineMs: number): Promise<void> {
		const wanted = this.acknowledged.size + count;
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => {
				reject(new Error(`no ${count} writes were acknowledged in ${deadlineMs} ms; last: ${this.#lastError}`));
			}, deadlineMs);
			const look = (): void => {
				if (this.acknowledged.size < wanted) return;
				clearTimeout(timer);
				this.#waiters.delete(look);
				resolve();
			};
			this.#waiters.add(look);
		});
	}

	async stop(): Promise<void> {
		this.#abort.abort();
		await this.#running;
	}

	/** Keys whose acknowledged value is not what is read now. */
	async lost(): Promise<string[]> {
		const lost: string[] = [];
		for (const [key, value] of this.acknowledged) if ((await this.#read(key)) !== value) lost.push(key);
		return lost;
	}

	async #write(): Promise<void> {
		for (let i = 0; !this.#abort.signal.aborted; i++) {
			const addresses = this.#addresses();
			const address = addresses[i % addresses.length];
			const [key, value] = [`written/${i}`, `value of ${i}`];
			try {
				const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(ATTEMPT_MS)]);
				const response = await fetch(urlOf(address, key), { method: 'PUT', body: value, signal });
				const text = await response.text();
				if (!response.ok) throw new Error(`${address}: ${response.status} ${text}`);
				this.acknowledged.set(key, value);
				for (const wake of [...this.#waiters]) wake();
			} catch (error) {
				this.#lastError = (error as Error).message;
			}
			await delay(PAUSE_MS);
		}
	}

	async #read(key: string): Promise<string | undefined> {
		const [address] = this.#addresses();
		const response = await fetch(urlOf(address, key), { signal: AbortSignal.timeout(10_000) });
		const text = await response.text();
		if (response.status === 404) return undefined;
		if (!response.ok) throw new Error(`GET ${key}: ${response.status} ${text}`);
		return text;
	}
}

function urlOf(address: string | undefined, key: string): string {
	if (address === undefined) throw new Error('no replica of kv-store to ask');
	return `http://${address}/v1/kv/${encodeURIComponent(key)}`;
}
