/**
 * How often containers were started again, kept over a restart of hostd: a replica's incarnation must not fall back.
 * One small file, written when a container is restarted and never in between.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

type Counts = Readonly<Record<string, number>>;

export class RestartCounts {
	readonly #path: string;
	readonly #counts: Map<string, Counts>;

	constructor(path: string) {
		this.#path = path;
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
		mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
		writeFileSync(`${this.#path}.new`, JSON.stringify(Object.fromEntries(this.#counts)), { mode: 0o600 });
		renameSync(`${this.#path}.new`, this.#path);
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
