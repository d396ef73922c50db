/** The file per pod from which a restarted hostd knows what it had started. Written whole, then renamed. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PodStart } from '../runtime.ts';
import type { SavedProcess } from './process-container.ts';

export interface SavedPod {
	readonly version: 1;
	readonly spec: PodStart;
	readonly restarts: number;
	readonly processes: Readonly<Record<string, SavedProcess>>;
}

export class PodFolders {
	readonly pods: string;
	readonly volumes: string;

	constructor(stateDir: string) {
		this.pods = join(stateDir, 'pods');
		this.volumes = join(stateDir, 'volumes');
		for (const folder of [this.pods, this.volumes]) mkdirSync(folder, { recursive: true, mode: 0o700 });
	}

	folder(podId: string): string {
		return join(this.pods, podId);
	}

	save(pod: SavedPod): void {
		const path = join(this.folder(pod.spec.podId), 'pod.json');
		mkdirSync(this.folder(pod.spec.podId), { recursive: true, mode: 0o700 });
		writeFileSync(`${path}.new`, JSON.stringify(pod), { mode: 0o600 });
		renameSync(`${path}.new`, path);
	}

	/** Every pod that was saved whole; a folder without a readable file was never started and is removed. */
	load(): SavedPod[] {
		const saved: SavedPod[] = [];
		for (const podId of readdirSync(this.pods)) {
			try {
				saved.push(JSON.parse(readFileSync(join(this.folder(podId), 'pod.json'), 'utf8')) as SavedPod);
			} catch {
				this.remove(podId);
			}
		}
		return saved;
	}

	remove(podId: string): void {
		rmSync(this.folder(podId), { recursive: true, force: true, maxRetries: 3 });
	}
}
