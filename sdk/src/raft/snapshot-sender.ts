/**
 * Sends snapshots to members whose next entry is gone from the log: in pieces, a window of them under way, going on
 * where the receiver says it stands. How it ended is told to the core, which decides whether to begin again.
 */
import type { Clock } from './clock.ts';
import type { SnapshotAck, SnapshotChunk, SnapshotName } from './codec/frames.ts';
import type { MemberId } from './core/index.ts';
import { storedSum } from './storage/snapshot-format.ts';
import type { SnapshotReader, SnapshotStore } from './storage/snapshot-store.ts';

const CHUNK_BYTES = 128 * 1024;
const WINDOW_BYTES = 1024 * 1024;
/** Without any progress for so many checks a transfer has failed. */
const STALLED_CHECKS_MAX = 10;
const RETRY_MS = 1000;

export interface SnapshotSenderRoutes {
	/** False: not taken by the link now. */
	send(to: MemberId, chunk: SnapshotChunk): boolean;
	ended(to: MemberId, ok: boolean): void;
}

interface Transfer {
	readonly to: MemberId;
	readonly term: number;
	readonly name: SnapshotName;
	readonly reader: SnapshotReader;
	/** The receiver has everything before. */
	acked: number;
	sent: number;
	isPumping: boolean;
	stalledChecks: number;
	timer: Disposable | undefined;
}

export class SnapshotSender {
	private readonly store: SnapshotStore;
	private readonly routes: SnapshotSenderRoutes;
	private readonly clock: Clock;
	private readonly checkMs: number;
	private readonly transfers = new Map<MemberId, Transfer>();
	private readonly retries = new Set<Disposable>();
	private isClosed = false;

	constructor(
		store: SnapshotStore,
		routes: SnapshotSenderRoutes,
		{ clock, checkMs }: { readonly clock: Clock; readonly checkMs: number },
	) {
		this.store = store;
		this.routes = routes;
		this.clock = clock;
		this.checkMs = checkMs;
	}

	async start(to: MemberId, index: number, term: number): Promise<void> {
		this.drop(to);
		let transfer: Transfer;
		try {
			const reader = await this.store.open(index);
			// Replaced by a newer one between the core's decision and now.
			if (reader === undefined) return this.failLater(to);
			const name = { index, bytes: reader.bytes, sum: await storedSum(reader) };
			transfer = { to, term, name, reader, acked: 0, sent: 0, isPumping: false, stalledChecks: 0, timer: undefined };
		} catch {
			return this.failLater(to);
		}
		if (this.isClosed || this.transfers.has(to)) {
			await transfer.reader.close();
			return;
		}
		this.transfers.set(to, transfer);
		this.check(transfer);
		await this.pump(transfer);
	}

	acknowledged(from: MemberId, { name, offset, isRefused }: SnapshotAck): void {
		const transfer = this.transfers.get(from);
		if (transfer === undefined || !isSameName(transfer.name, name) || offset > name.bytes) return;
		if (isRefused) {
			this.drop(from);
			this.failLater(from);
		} else if (offset === name.bytes) {
			this.drop(from);
			this.routes.ended(from, true);
		} else {
			if (offset > transfer.acked) transfer.stalledChecks = 0;
			// Further than we sent: it had that part from an earlier try. Less than it once had: it was restarted.
			if (offset > transfer.sent || offset < transfer.acked) transfer.sent = offset;
			transfer.acked = offset;
			void this.pump(transfer);
		}
	}

	/** Of the snapshots under way; undefined when there are none. */
	get oldestIndex(): number | undefined {
		const indices = [...this.transfers.values()].map(({ name }) => name.index);
		return indices.length === 0 ? undefined : Math.min(...indices);
	}

	/** Leadership is gone: the next leader sends its own. */
	stopAll(): void {
		for (const to of [...this.transfers.keys()]) this.drop(to);
	}

	close(): void {
		this.isClosed = true;
		this.stopAll();
		for (const retry of this.retries) retry[Symbol.dispose]();
		this.retries.clear();
	}

	private async pump(transfer: Transfer): Promise<void> {
		if (transfer.isPumping) return;
		transfer.isPumping = true;
		const { to, name, term, reader } = transfer;
		try {
			while (transfer.sent < name.bytes && transfer.sent - transfer.acked < WINDOW_BYTES) {
				const offset = transfer.sent;
				const data = await reader.read(offset, Math.min(CHUNK_BYTES, name.bytes - offset));
				if (this.transfers.get(to) !== transfer) return;
				// An acknowledgement moved it meanwhile.
				if (transfer.sent !== offset) continue;
				if (!this.routes.send(to, { name, term, offset, data })) break;
				transfer.sent = offset + data.length;
			}
		} catch {
			if (this.transfers.get(to) !== transfer) return;
			this.drop(to);
			this.failLater(to);
		} finally {
			transfer.isPumping = false;
		}
	}

	/** What was lost on the way is sent again. */
	private check(transfer: Transfer): void {
		transfer.timer = this.clock.after(this.checkMs, () => {
			if (++transfer.stalledChecks > STALLED_CHECKS_MAX) {
				this.drop(transfer.to);
				this.routes.ended(transfer.to, false);
				return;
			}
			if (transfer.stalledChecks > 1) transfer.sent = transfer.acked;
			void this.pump(transfer);
			this.check(transfer);
		});
	}

	/** Not at once, because the core would begin again at once. */
	private failLater(to: MemberId): void {
		if (this.isClosed) return;
		const retry = this.clock.after(RETRY_MS, () => {
			this.retries.delete(retry);
			if (!this.transfers.has(to)) this.routes.ended(to, false);
		});
		this.retries.add(retry);
	}

	private drop(to: MemberId): void {
		const transfer = this.transfers.get(to);
		if (transfer === undefined) return;
		this.transfers.delete(to);
		transfer.timer?.[Symbol.dispose]();
		transfer.reader.close().catch(() => undefined);
	}
}

export function isSameName(a: SnapshotName, b: SnapshotName): boolean {
	return a.index === b.index && a.bytes === b.bytes && a.sum === b.sum;
}
