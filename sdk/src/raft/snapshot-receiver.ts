/**
 * Takes in a snapshot that the leader sends in pieces. Only a whole one, whose sum fits and which is durable, is ever
 * spoken of to the core. A transfer that breaks off goes on where it stood, when the same bytes are offered again.
 */
import { MeshError } from '../errors.ts';
import type { Logger } from '../telemetry/index.ts';
import type { SnapshotAck, SnapshotChunk, SnapshotName } from './codec/frames.ts';
import type { MemberId, SnapshotMeta } from './core/index.ts';
import { isSameName } from './snapshot-sender.ts';
import { Checksum, readSnapshot } from './storage/snapshot-format.ts';
import type { SnapshotStore, SnapshotWriter } from './storage/snapshot-store.ts';

/** More than a sender's window; beyond it somebody does not keep to the rules. */
const QUEUED_MAX = 64;
const SUM_BYTES = 4;

export interface SnapshotReceiverRoutes {
	acknowledge(to: MemberId, ack: SnapshotAck): void;
	/** Whole and durable, offered by the leader of `term`. */
	received(from: MemberId, term: number, meta: SnapshotMeta): void;
}

interface Incoming {
	readonly name: SnapshotName;
	readonly writer: SnapshotWriter;
	readonly sum: Checksum;
	offset: number;
}

export class SnapshotReceiver {
	private readonly store: SnapshotStore;
	private readonly routes: SnapshotReceiverRoutes;
	private readonly logger: Logger;
	private incoming: Incoming | undefined;
	/** The last one that was completed: its acknowledgement, or what the core made of it, may have been lost. */
	private done: { readonly name: SnapshotName; readonly meta: SnapshotMeta } | undefined;
	private queue: Promise<void> = Promise.resolve();
	private queued = 0;
	private isClosed = false;

	constructor(store: SnapshotStore, routes: SnapshotReceiverRoutes, logger: Logger) {
		this.store = store;
		this.routes = routes;
		this.logger = logger;
	}

	chunk(from: MemberId, chunk: SnapshotChunk): void {
		if (this.isClosed || this.queued >= QUEUED_MAX) return;
		this.queued++;
		this.queue = this.queue.then(async () => {
			this.queued--;
			if (!this.isClosed) await this.take(from, chunk);
		});
	}

	async close(): Promise<void> {
		this.isClosed = true;
		await this.queue;
		await this.abandon();
	}

	private async take(from: MemberId, { name, term, offset, data }: SnapshotChunk): Promise<void> {
		const acknowledge = (next: number, isRefused = false): void =>
			this.routes.acknowledge(from, { name, offset: next, isRefused });
		if (this.done !== undefined && isSameName(this.done.name, name)) {
			this.routes.received(from, term, this.done.meta);
			acknowledge(name.bytes);
			return;
		}
		try {
			const incoming = await this.incomingOf(name, offset);
			if (incoming === undefined || offset !== incoming.offset || offset + data.length > name.bytes) {
				acknowledge(incoming?.offset ?? 0);
				return;
			}
			await incoming.writer.write(data);
			// Over everything but the sum itself, which stands at the end.
			incoming.sum.add(data.subarray(0, Math.max(0, name.bytes - SUM_BYTES - offset)));
			incoming.offset += data.length;
			if (incoming.offset === name.bytes) {
				const meta = await this.complete(incoming);
				this.routes.received(from, term, meta);
			}
			acknowledge(incoming.offset);
		} catch (cause) {
			await this.abandon();
			const error = cause instanceof Error ? cause.message : String(cause);
			this.logger.warn('raft snapshot from the leader not taken', { from, index: name.index, error });
			acknowledge(0, true);
		}
	}

	private async incomingOf(name: SnapshotName, offset: number): Promise<Incoming | undefined> {
		if (this.incoming !== undefined && isSameName(this.incoming.name, name)) return this.incoming;
		if (offset !== 0) return undefined;
		await this.abandon();
		this.incoming = { name, writer: await this.store.create(), sum: new Checksum(), offset: 0 };
		return this.incoming;
	}

	private async complete({ name, writer, sum }: Incoming): Promise<SnapshotMeta> {
		if (sum.value !== name.sum) throw new MeshError('corrupt', 'its sum does not fit what was received');
		await writer.commit(name.index);
		this.incoming = undefined;
		const reader = await this.store.open(name.index);
		if (reader === undefined)
			throw new MeshError('internal', `snapshot ${name.index} is gone as soon as it was written`);
		try {
			const { meta } = await readSnapshot(reader, this.store, name.index);
			this.done = { name, meta };
			return meta;
		} finally {
			await reader.close();
		}
	}

	private async abandon(): Promise<void> {
		const writer = this.incoming?.writer;
		this.incoming = undefined;
		await writer?.abandon();
	}
}
