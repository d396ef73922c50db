/**
 * A disk in memory that can lie like a real one: it takes fewer bytes than offered, runs full, fails a sync, and on
 * a power cut keeps any subset of the sectors that were written since the last sync.
 */
import { MeshError } from '../../../../errors.ts';
import type { FileSystem } from '../file-system.ts';

const SECTOR_BYTES = 512;

interface StoredFile {
	bytes: Uint8Array;
	/** As of the last sync. */
	durable: Uint8Array;
}

const errorWith = (code: string): Error => Object.assign(new Error(`${code} injected`), { code });

export class Disk implements FileSystem {
	readonly files = new Map<string, StoredFile>();
	/** Bytes that still fit; creating and growing files uses them up. */
	freeBytes = Number.POSITIVE_INFINITY;
	/** Called before each write: return how many bytes to take, or an error code. */
	onWrite: (length: number, path: string) => number | string = (length) => length;
	/** Called before each sync: return an error code to fail it. */
	onSync: (path: string) => string | undefined = () => undefined;
	readonly syncsStarted: string[] = [];
	private readonly locks = new Set<string>();

	async makeDirectory(): Promise<void> {}

	async list(directory: string): Promise<string[]> {
		const prefix = `${directory}/`;
		return [...this.files.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
	}

	async read(path: string): Promise<Uint8Array> {
		return this.file(path).bytes.slice();
	}

	async open(path: string, mode: 'create' | 'write' | 'read'): ReturnType<FileSystem['open']> {
		if (mode === 'create') {
			if (this.files.has(path)) throw errorWith('EEXIST');
			this.files.set(path, { bytes: new Uint8Array(0), durable: new Uint8Array(0) });
		}
		const file = this.file(path);
		return {
			write: async (bytes, position) => {
				const taken = this.onWrite(bytes.length, path);
				if (typeof taken === 'string') throw errorWith(taken);
				this.grow(file, position + taken);
				file.bytes.set(bytes.subarray(0, taken), position);
				return taken;
			},
			read: async (bytes, position) => {
				const part = file.bytes.subarray(position, position + bytes.length);
				bytes.set(part);
				return part.length;
			},
			size: async () => file.bytes.length,
			sync: async () => {
				this.syncsStarted.push(path);
				await this.fail(path);
				file.durable = file.bytes.slice();
			},
			close: async () => {},
		};
	}

	async rename(from: string, to: string): Promise<void> {
		this.files.set(to, this.file(from));
		this.files.delete(from);
	}

	async remove(path: string): Promise<void> {
		this.freeBytes += this.file(path).bytes.length;
		this.files.delete(path);
	}

	async syncDirectory(path: string): Promise<void> {
		await this.fail(path);
	}

	lock(directory: string): Disposable {
		if (this.locks.has(directory)) throw new MeshError('conflict', `${directory} is open elsewhere`);
		this.locks.add(directory);
		return { [Symbol.dispose]: () => void this.locks.delete(directory) };
	}

	/** The disk as the next start may find it: `survives` decides for each unsynced sector. */
	afterPowerCut(survives: (sector: number) => boolean): Disk {
		const next = new Disk();
		for (const [path, { bytes, durable }] of this.files) {
			const image = bytes.slice();
			for (let at = 0; at < image.length; at += SECTOR_BYTES) {
				const end = Math.min(at + SECTOR_BYTES, image.length);
				const before = new Uint8Array(end - at);
				before.set(durable.subarray(at, end));
				if (!survives(at / SECTOR_BYTES)) image.set(before, at);
			}
			next.files.set(path, { bytes: image, durable: image.slice() });
		}
		return next;
	}

	private async fail(path: string): Promise<void> {
		const code = this.onSync(path);
		if (code !== undefined) throw errorWith(code);
	}

	private grow(file: StoredFile, length: number): void {
		const more = length - file.bytes.length;
		if (more <= 0) return;
		if (more > this.freeBytes) throw errorWith('ENOSPC');
		this.freeBytes -= more;
		const grown = new Uint8Array(length);
		grown.set(file.bytes);
		file.bytes = grown;
	}

	private file(path: string): StoredFile {
		const file = this.files.get(path);
		if (file === undefined) throw errorWith('ENOENT');
		return file;
	}
}
