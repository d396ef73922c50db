/** Snapshots of a member without a disk, or of a test's. */
import { MeshError } from '../../../errors.ts';
import { copyOf } from '../../../wire/bytes.ts';
import type { SnapshotReader, SnapshotStore, SnapshotWriter } from '../snapshot-store.ts';

export class MemorySnapshots implements SnapshotStore {
	private readonly whole = new Map<number, Uint8Array>();
	private readonly isFull: () => boolean;

	constructor(isFull: () => boolean) {
		this.isFull = isFull;
	}

	nameOf(index: number): string {
		return `${index} in memory`;
	}

	async create(): Promise<SnapshotWriter> {
		let parts: Uint8Array[] = [];
		return {
			write: async (bytes) => {
				if (this.isFull()) throw new MeshError('disk_full', 'memory is full; free space and try again');
				parts.push(copyOf(bytes));
			},
			commit: async (index) => {
				this.whole.set(index, Buffer.concat(parts));
			},
			abandon: async () => {
				parts = [];
			},
		};
	}

	async open(index: number): Promise<SnapshotReader | undefined> {
		const bytes = this.whole.get(index);
		return (
			bytes && {
				bytes: bytes.length,
				read: async (position, length) => bytes.slice(position, position + length),
				close: async () => undefined,
			}
		);
	}

	async keepOnly(index: number): Promise<void> {
		for (const known of [...this.whole.keys()]) if (known !== index) this.whole.delete(known);
	}

	async removeBefore(index: number): Promise<void> {
		for (const known of [...this.whole.keys()]) if (known < index) this.whole.delete(known);
	}
}
