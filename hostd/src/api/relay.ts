/**
 * Carries an owner's session to another host: bytes both ways, as fast as the slower side takes them. What they say is
 * sealed between the owner and that host.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import type { ByteStream } from '@beemesh/sdk/streams';

export interface RelayConfig {
	/** At a time. Default 64. */
	readonly relaysMax: number;
	/** Without a byte either way; owners that only listen ping more often. Default 120 s. */
	readonly idleMs: number;
}

export const DEFAULT_RELAY: RelayConfig = { relaysMax: 64, idleMs: 120_000 };

/** How many there are, counted from before the dial. */
export class Relays {
	readonly #config: RelayConfig;
	#count = 0;

	constructor(config: Partial<RelayConfig> = {}) {
		this.#config = { ...DEFAULT_RELAY, ...config };
	}

	get count(): number {
		return this.#count;
	}

	/** Throws `exhausted`. To be disposed of when the relay is over. */
	begin(): Disposable {
		const { relaysMax } = this.#config;
		if (this.#count >= relaysMax)
			throw new MeshError(
				'exhausted',
				`this host carries ${relaysMax} sessions to other hosts already: try again soon`,
			);
		this.#count++;
		let isOver = false;
		return {
			[Symbol.dispose]: () => {
				if (isOver) return;
				isOver = true;
				this.#count--;
			},
		};
	}

	/** Joins two streams; resolves when both are over. */
	async join(a: ByteStream, b: ByteStream): Promise<void> {
		const { idleMs } = this.#config;
		const end = (error: Error): void => {
			a.abort(error);
			b.abort(error);
		};
		const idle = setTimeout(
			() => end(new MeshError('unavailable', `nothing was said for ${idleMs / 1_000} s: the relay is over`)),
			idleMs,
		);
		idle.unref();
		const onBytes = (): void => void idle.refresh();
		try {
			await Promise.all([pump(a, b, onBytes), pump(b, a, onBytes)]);
		} catch (error) {
			end(isMeshError(error) ? error : new MeshError('unavailable', `the relay broke: ${(error as Error).message}`));
		} finally {
			clearTimeout(idle);
		}
	}
}

/** One direction, to its end. */
async function pump(from: ByteStream, to: ByteStream, onBytes: () => void): Promise<void> {
	for await (const chunk of from.source) {
		onBytes();
		if (!to.write(chunk)) await to.drained();
	}
	await to.close();
}
