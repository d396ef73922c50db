/** Snapshots as files beside the log: `<index>.snap` once whole and durable, `<n>.partial` before. */
import { join } from 'node:path';
import { MeshError } from '../../../errors.ts';
import type { SnapshotReader, SnapshotStore, SnapshotWriter } from '../snapshot-store.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import { writeFully } from './segment.ts';

const WHOLE = /^([0-9]{16})\.snap$/;
const PARTIAL = /^[0-9]+\.partial$/;
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

export class FileSnapshots implements SnapshotStore {
	private readonly fs: FileSystem;
	private readonly directory: string;
	private partials = 0;

	constructor(fs: FileSystem, directory: string) {
		this.fs = fs;
		this.directory = directory;
	}

	nameOf(index: number): string {
		return join(this.directory, `${String(index).padStart(16, '0')}.snap`);
	}

	async create(): Promise<SnapshotWriter> {
		const { fs, directory } = this;
		const path = join(directory, `${++this.partials}.partial`);
		const file = await this.noticeFull(() => fs.open(path, 'create'));
		let position = 0;
		let isOver = false;
		return {
			write: (bytes) =>
				this.noticeFull(async () => {
					await writeFully(file, bytes, position);
					position += bytes.length;
				}),
			commit: async (index) => {
				await this.noticeFull(() => file.sync());
				isOver = true;
				await file.close();
				await fs.rename(path, this.nameOf(index));
				await fs.syncDirectory(directory);
			},
			abandon: async () => {
				if (isOver) return;
				isOver = true;
				await file.close().catch(() => undefined);
				await fs.remove(path).catch(() => undefined);
			},
		};
	}

	async open(index: number): Promise<SnapshotReader | undefined> {
		const path = this.nameOf(index);
		let file: OpenFile;
		try {
			file = await this.fs.open(path, 'read');
		} catch (error) {
			if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
			throw error;
		}
		return {
			bytes: await file.size(),
			read: (position, length) => readFully(file, position, length),
			close: () => file.close(),
		};
	}

	async keepOnly(index: number): Promise<void> {
		for (const name of await this.fs.list(this.directory)) {
			const whole = WHOLE.exec(name)?.[1];
			if (PARTIAL.test(name) || (whole !== undefined && Number(whole) !== index)) await this.remove(name);
		}
	}

	async removeBefore(index: number): Promise<void> {
		for (const name of await this.fs.list(this.directory)) {
			const whole = WHOLE.exec(name)?.[1];
			if (whole !== undefined && Number(whole) < index) await this.remove(name);
		}
	}

	/** Not synced: one that comes back after a power cut is dropped by the next start. */
	private remove(name: string): Promise<void> {
		return this.fs.remove(join(this.directory, name));
	}

	private async noticeFull<T>(write: () => Promise<T>): Promise<T> {
		try {
			return await write();
		} catch (cause) {
			if (!FULL.has((cause as { code?: unknown }).code)) throw cause;
			throw new MeshError('disk_full', `no room for a raft snapshot in ${this.directory}: free space on its disk`, {
				cause,
			});
		}
	}
}

async function readFully(file: OpenFile, position: number, length: number): Promise<Uint8Array> {
	const bytes = new Uint8Array(length);
	for (let done = 0; done < length; ) {
		const read = await file.read(bytes.subarray(done), position + done);
		if (read === 0) throw Object.assign(new Error(`the file ended at byte ${position + done}`), { code: 'EIO' });
		done += read;
	}
	return bytes;
}
