/** Both directions of snapshots between members, as the driver uses them: messages of the core in, frames out. */
import type { Logger } from '../telemetry/index.ts';
import type { Clock } from './clock.ts';
import type { Frame } from './codec/frames.ts';
import type { MemberId, Message, RaftEvent } from './core/index.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { SnapshotStore } from './storage/snapshot-store.ts';

export interface SnapshotTransfersComponents {
	readonly selfId: MemberId;
	readonly store: SnapshotStore;
	readonly clock: Clock;
	readonly logger: Logger;
	/** How often a transfer without progress is looked at. */
	readonly checkMs: number;
	readonly sendFrame: (to: MemberId, frame: Frame) => boolean;
	/** To the core. */
	readonly absorb: (event: RaftEvent) => void;
}

export class SnapshotTransfers {
	private readonly sender: SnapshotSender;
	private readonly receiver: SnapshotReceiver;

	constructor({ selfId, store, clock, logger, checkMs, sendFrame, absorb }: SnapshotTransfersComponents) {
		this.sender = new SnapshotSender(
			store,
			{
				send: (to, chunk) => sendFrame(to, { kind: 'snapshot-chunk', ...chunk }),
				ended: (id, ok) => absorb({ type: 'snapshot-status', id, ok }),
			},
			{ clock, checkMs },
		);
		this.receiver = new SnapshotReceiver(
			store,
			{
				acknowledge: (to, ack) => void sendFrame(to, { kind: 'snapshot-ack', ...ack }),
				received: (from, term, snapshot) =>
					absorb({ type: 'message', message: { type: 'snapshot', from, to: selfId, term, snapshot } }),
			},
			logger,
		);
	}

	/** The core wants this sent: the message itself never leaves, its content does. */
	send({ to, term, snapshot }: Extract<Message, { readonly type: 'snapshot' }>): void {
		void this.sender.start(to, snapshot.index, term);
	}

	/** Receivers go on from here when they have theirs: what follows must still be in the log then. */
	get oldestSending(): number | undefined {
		return this.sender.oldestIndex;
	}

	/** False for a frame that is none of ours. */
	receive(from: MemberId, frame: Frame): boolean {
		if (frame.kind === 'snapshot-chunk') this.receiver.chunk(from, frame);
		else if (frame.kind === 'snapshot-ack') this.sender.acknowledged(from, frame);
		else return false;
		return true;
	}

	leadershipLost(): void {
		this.sender.stopAll();
	}

	async close(): Promise<void> {
		this.sender.close();
		await this.receiver.close();
	}
}
