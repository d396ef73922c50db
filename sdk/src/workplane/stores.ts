/**
 * Where a replica's Raft groups keep their logs: one folder per generation of the slot, because a replacement is a new
 * member and must never speak with an older one's vote. The folder also remembers who founded the groups.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../errors.ts';
import { openFileLog } from '../raft/storage/file/file-log.ts';
import type { LogStore } from '../raft/storage/log-store.ts';
import { MemoryMedium, openMemoryLog } from '../raft/storage/memory/memory-log.ts';

export interface GroupStores {
	/**
	 * Takes the folder of this generation into use. Returns the number of founding slots: as given on the first start,
	 * as remembered on later ones; undefined when an earlier start must have left state that is not there any more.
	 * State of an earlier life, of a workload that was deleted and applied again, is put aside.
	 */
	prepare(life: Life, foundingSlots: number): Promise<number | undefined>;
	open(gen: number, group: string): LogStore;
}

export interface Life {
	readonly gen: number;
	/** The award that this replica runs by: the same over restarts in place, another after each placement. */
	readonly award: string;
	readonly incarnation: number;
}

const FOUNDING_FILE = 'founding';
const EARLIER = 'earlier';
const GROUP_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function fileStores(dataDir: string): GroupStores {
	const root = join(dataDir, 'raft');
	const folder = (gen: number): string => join(root, `g${gen}`);
	return {
		async prepare({ gen, award, incarnation }, foundingSlots) {
			await mkdir(root, { recursive: true, mode: 0o700 });
			const file = join(folder(gen), FOUNDING_FILE);
			const known = await readFile(file, 'utf8').catch(() => undefined);
			const [founders, knownAward] = known?.split(' ') ?? [];
			if (knownAward === award) return Number(founders);
			if (known === undefined && incarnation > 0) return undefined;
			const generations = (await readdir(root)).filter((name) => /^g\d+$/.test(name));
			for (const old of generations.filter((name) => Number(name.slice(1)) < gen)) {
				await rm(join(root, old), { recursive: true, force: true });
			}
			if (known !== undefined) {
				// Its members and votes are of another group. One earlier life is kept, for whoever misses its data.
				await rm(join(root, EARLIER), { recursive: true, force: true });
				await rename(folder(gen), join(root, EARLIER));
			}
			await mkdir(folder(gen), { recursive: true, mode: 0o700 });
			await writeFile(file, `${foundingSlots} ${award}`, { mode: 0o600, flush: true });
			return foundingSlots;
		},
		open(gen, group) {
			requireName(group);
			return openFileLog({ directory: join(folder(gen), group) });
		},
	};
}

/** State that lasts as long as `media`: for tests, and for replicas without a volume. */
export function memoryStores(media: Map<string, MemoryMedium | number> = new Map()): GroupStores {
	return {
		async prepare({ gen, incarnation }, foundingSlots) {
			const known = media.get(`g${gen}`);
			if (typeof known === 'number') return known;
			if (incarnation > 0) return undefined;
			media.set(`g${gen}`, foundingSlots);
			return foundingSlots;
		},
		open(gen, group) {
			requireName(group);
			const key = `g${gen}/${group}`;
			let medium = media.get(key);
			if (!(medium instanceof MemoryMedium)) media.set(key, (medium = new MemoryMedium()));
			return openMemoryLog(medium);
		},
	};
}

function requireName(group: string): void {
	if (!GROUP_NAME.test(group))
		throw new MeshError('invalid_input', `the group name '${group}' is not a DNS label such as orders`);
}
