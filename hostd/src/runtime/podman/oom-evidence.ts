/**
 * Did the kernel kill a container for its memory limit? Podman cannot always tell: where cgroups are mounted in hybrid
 * mode its monitor gets no notice, and the end looks like any SIGKILL. The kernel's log names the container's cgroup.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';

const RECORD_BYTES_MAX = 8192;

export class OomEvidence {
	/** Verdict per end of a container (`id@finishedAt`), so that each record counts for one end only. */
	readonly #verdicts = new Map<string, boolean>();
	/** Last kernel record that was counted, per container. */
	readonly #counted = new Map<string, number>();

	/** True when the kernel's log has a memory kill in this container that no earlier end has used up. */
	wasKilled(containerId: string, finishedAt: string): boolean {
		const end = `${containerId}@${finishedAt}`;
		const known = this.#verdicts.get(end);
		if (known !== undefined) return known;
		const after = this.#counted.get(containerId) ?? -1;
		const records = oomRecords(containerId).filter((sequence) => sequence > after);
		const last = records.at(-1);
		if (last !== undefined) this.#counted.set(containerId, last);
		this.#verdicts.set(end, last !== undefined);
		return last !== undefined;
	}

	/** The container is gone for good. */
	forget(containerId: string): void {
		this.#counted.delete(containerId);
		for (const end of this.#verdicts.keys()) if (end.startsWith(`${containerId}@`)) this.#verdicts.delete(end);
	}
}

/** Sequence numbers of memory kills in the container's cgroup; none where the log cannot be read. */
function oomRecords(containerId: string): number[] {
	const found: number[] = [];
	let file: number;
	try {
		file = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
	} catch {
		return found;
	}
	try {
		const buffer = Buffer.alloc(RECORD_BYTES_MAX);
		for (;;) {
			let bytes: number;
			try {
				bytes = readSync(file, buffer);
			} catch (error) {
				// EPIPE: a record was overwritten before it was read; the next read goes on. EAGAIN: that was the last.
				if ((error as NodeJS.ErrnoException).code === 'EPIPE') continue;
				return found;
			}
			if (bytes === 0) return found;
			const record = buffer.toString('utf8', 0, bytes);
			if (!record.includes('oom-kill:constraint=CONSTRAINT_MEMCG') || !record.includes(`libpod-${containerId}`))
				continue;
			found.push(Number(record.split(',')[1]));
		}
	} finally {
		closeSync(file);
	}
}
