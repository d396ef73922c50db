/**
 * How often containers were started again, kept over a restart of hostd: a replica's incarnation must not fall back.
 * One small file, written when a container is restarted and never in between.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '@beemesh/sdk/telemetry';

type Counts = Readonly<Record<string, number>>;

export class RestartCounts {
	readonly #path: string;
	readonly #log: Logger;
	readonly #counts: Map<string, Counts>;

	constructor(path: string, log: Logger) {
		this.#path = path;
		this.#log = log;
		this.#counts = new Map(Object.entries(read(path)));
	}

	get(podId: string): Counts {
		return this.#counts.get(podId) ?? {};
	}

	set(podId: string, counts: Counts): void {
		this.#counts.set(podId, counts);
		this.#save();
	}

	/** Forgets all pods but these. */
	keepOnly(podIds: ReadonlySet<string>): void {
		const gone = [...this.#counts.keys()].filter((podId) => !podIds.has(podId));
		if (gone.length === 0) return;
		for (const podId of gone) this.#counts.delete(podId);
		this.#save();
	}

	delete(podId: string): void {
		if (this.#counts.delete(podId)) this.#save();
	}

	#save(): void {
		try {
			mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
			writeFileSync(`${this.#path}.new`, JSON.stringify(Object.fromEntries(this.#counts)), { mode: 0o600 });
			renameSync(`${this.#path}.new`, this.#path);
		} catch (error) {
			// The pods go on: only a hostd that is started before the next restart would count from an older number.
			this.#log.warn('restart counts are not kept', { path: this.#path, error });
		}
	}
}

function read(path: string): Record<string, Counts> {
	try {
		return JSON.parse(readFileSync(path, 'utf8')) as Record<string, Counts>;
	} catch {
		// Missing, or torn by a full disk: counting starts again, nothing else depends on it.
		return {};
	}
}
