/**
 * Performs what the core decides: writes its log, sends its messages, hands out what is committed, keeps its time.
 * The order of effects that `core/index.ts` asks for is kept here and nowhere else.
 *
 * A write that finds no room is kept and tried again: the core goes on waiting for it, so nothing that depends on it
 * is ever said. A write that fails in any other way ends this replica.
 */
import { MeshError } from '../errors.ts';
import type { Logger } from '../telemetry/index.ts';
import type { Clock } from './clock.ts';
import { MalformedBytes } from './codec/bytes.ts';
import { decodeFrame, encodeFrame, type Frame } from './codec/frames.ts';
import type {
	ConfState,
	Entry,
	HardState,
	MemberId,
	Message,
	PersistEffect,
	ProposalResult,
	RaftEffects,
	RaftEvent,
	RaftNode,
	RaftStatus,
	ReadResult,
	Role,
	SnapshotMeta,
} from './core/index.ts';
import { NONE } from './core/index.ts';
import type { GroupLink } from './link.ts';
import { SnapshotTransfers } from './snapshot-transfers.ts';
import type { LogBatch, LogStore } from './storage/log-store.ts';

/** What the driver tells the group above it, in the order in which it happened. */
export interface DriverListener {
	/** Committed entries, in order, exactly once per run of the process. */
	onApply(entries: readonly Entry[]): void;
	/** The log begins with this snapshot now, whose content is in the store: make it the state. */
	onInstall(snapshot: SnapshotMeta): Promise<void>;
	onReads(results: readonly ReadResult[]): void;
	onProposals(results: readonly ProposalResult[]): void;
	onLeadership(role: Role, leader: MemberId): void;
	onMembers(confState: ConfState): void;
	/** A frame that is not Raft's own. */
	onFrame(from: MemberId, frame: Frame): void;
	onDisk(isFull: boolean): void;
	/** The replica is over: its disk failed, or it found its own state impossible. */
	onFailed(error: MeshError): void;
}

export interface DriverComponents {
	readonly node: RaftNode;
	readonly store: LogStore;
	readonly link: GroupLink;
	readonly clock: Clock;
	readonly logger: Logger;
	readonly random: () => number;
	readonly listener: DriverListener;
}

/** An append, or a commit index that rides on the next one. */
interface Write {
	readonly effect: PersistEffect;
	readonly batch: LogBatch;
	state: 'waiting' | 'writing' | 'durable';
}

/** A full disk is asked again after the first, then twice as long, up to the second: to ask costs writes. */
const DISK_RETRY_MS = 250;
const DISK_RETRY_MS_MAX = 1000;

export class RaftDriver {
	private readonly components: DriverComponents;
	private readonly heartbeatMs: number;
	private readonly electionTimeoutMs: number;
	private readonly subscriptions: Disposable[] = [];
	private readonly transfers: SnapshotTransfers;
	/** Handed out by the core, oldest first. Reported to it strictly in this order. */
	private writes: Write[] = [];
	/** A commit index that needs no sync of its own. */
	private lazyHardState: HardState | undefined;
	private isDraining = false;
	private isScheduled = false;
	private isFull = false;
	private retryTimer: Disposable | undefined;
	private retryMs = DISK_RETRY_MS;
	private alarm: { readonly atMs: number; readonly timer: Disposable } | undefined;
	private hintTimer: Disposable | undefined;
	private oldestWriteMs: number | undefined;
	private stopped = false;
	private malformedFrames = 0;
	private currentTerm: number;

	constructor(
		components: DriverComponents,
		timing: { readonly heartbeatMs: number; readonly electionTimeoutMs: number },
	) {
		this.components = components;
		this.heartbeatMs = timing.heartbeatMs;
		this.electionTimeoutMs = timing.electionTimeoutMs;
		this.currentTerm = components.node.status().term;
		this.transfers = new SnapshotTransfers({
			selfId: components.node.id,
			store: components.store.snapshots,
			clock: components.clock,
			logger: components.logger,
			checkMs: timing.electionTimeoutMs,
			sendFrame: (to, frame) => this.sendFrame(to, frame),
			absorb: (event) => this.absorb(event),
		});
	}

	start(): void {
		const { link } = this.components;
		this.subscriptions.push(
			link.onMessage((from, bytes) => this.receive(from, bytes)),
			link.onLost((member) => this.memberLost(member)),
		);
		this.schedule();
	}

	/** Frames that could not be read and were dropped. */
	get malformedCount(): number {
		return this.malformedFrames;
	}

	get isDiskFull(): boolean {
		return this.isFull;
	}

	/** The newest term this member knows. */
	get term(): number {
		return this.currentTerm;
	}

	/** A snapshot was taken here. Members who are just getting an older one need what follows that. */
	compacted(snapshot: SnapshotMeta, compactIndex: number): void {
		const kept = Math.min(compactIndex, this.transfers.oldestSending ?? compactIndex);
		this.absorb({ type: 'compacted', snapshot, compactIndex: kept });
	}

	status(): RaftStatus {
		return this.components.node.status();
	}

	/** Takes in an event now; its effects follow in a microtask, together with those of its neighbours. */
	absorb(event: RaftEvent): void {
		if (this.stopped) return;
		try {
			this.components.node.absorb(event, this.components.clock.nowMs());
		} catch (cause) {
			this.fail(impossible(cause));
			return;
		}
		this.schedule();
	}

	sendFrame(to: MemberId, frame: Frame): boolean {
		return !this.stopped && this.components.link.send(to, encodeFrame(frame));
	}

	/** Ends timers and listening. The commit index that rode along is written, so that a restart knows more. */
	async stop(): Promise<void> {
		const wasRunning = !this.stopped;
		this.halt();
		await this.transfers.close();
		if (!wasRunning || this.lazyHardState === undefined || this.isFull) return;
		await this.components.store.append({ hardState: this.lazyHardState }).catch(() => undefined);
	}

	private halt(): void {
		this.stopped = true;
		for (const subscription of this.subscriptions.splice(0)) subscription[Symbol.dispose]();
		this.retryTimer?.[Symbol.dispose]();
		this.hintTimer?.[Symbol.dispose]();
		this.alarm?.timer[Symbol.dispose]();
	}

	private fail(error: MeshError): void {
		if (this.stopped) return;
		this.halt();
		this.components.logger.error('raft replica failed', { error: error.message });
		this.components.listener.onFailed(error);
	}

	private schedule(): void {
		if (this.isScheduled) return;
		this.isScheduled = true;
		queueMicrotask(() => {
			this.isScheduled = false;
			this.drain();
		});
	}

	/** Listeners may absorb more events: the loop takes those, too, before it sets the next alarm. */
	private drain(): void {
		if (this.stopped || this.isDraining) return;
		this.isDraining = true;
		try {
			const { node } = this.components;
			while (!this.stopped && node.hasEffects()) this.perform(node.drain());
			if (!this.stopped) this.setAlarm();
		} catch (cause) {
			this.fail(impossible(cause));
		} finally {
			this.isDraining = false;
		}
	}

	private perform(effects: RaftEffects): void {
		const { listener } = this.components;
		// A new term always comes with the hard state that says so.
		this.currentTerm = effects.persist?.hardState?.term ?? this.currentTerm;
		this.send(effects.messages);
		if (effects.persist !== undefined) this.persist(effects.persist);
		if (effects.apply.length > 0) {
			listener.onApply(effects.apply);
			this.absorb({ type: 'applied', index: (effects.apply.at(-1) as Entry).index });
		}
		if (effects.reads.length > 0) listener.onReads(effects.reads);
		if (effects.proposals.length > 0) listener.onProposals(effects.proposals);
		if (effects.leadership !== undefined) this.leadershipChanged(effects.leadership);
		if (effects.confState !== undefined) listener.onMembers(effects.confState);
	}

	private leadershipChanged({ role, leader }: { readonly role: Role; readonly leader: MemberId }): void {
		if (leader !== NONE) {
			this.hintTimer?.[Symbol.dispose]();
			this.hintTimer = undefined;
		}
		if (role !== 'leader') this.transfers.leadershipLost();
		this.components.listener.onLeadership(role, leader);
		if (this.isFull && role === 'leader') this.handOver('its disk is full');
	}

	// --- messages

	private send(messages: readonly Message[]): void {
		if (messages.length === 0) return;
		const byMember = new Map<MemberId, Message[]>();
		for (const message of messages) {
			const list = byMember.get(message.to);
			if (message.type === 'snapshot') this.transfers.send(message);
			else if (list === undefined) byMember.set(message.to, [message]);
			else list.push(message);
		}
		for (const [to, list] of byMember) {
			// Together when that is small; entries one by one, so that no frame outgrows the link.
			const large = list.filter((message) => message.type === 'append' && message.entries.length > 0);
			const groups = large.length <= 1 ? [list] : list.map((message) => [message]);
			for (const group of groups) {
				if (this.components.link.send(to, encodeFrame({ kind: 'raft', messages: group }))) continue;
				this.absorb({ type: 'unreachable', id: to });
				break;
			}
		}
	}

	private receive(from: MemberId, bytes: Uint8Array): void {
		if (this.stopped) return;
		let frame: Frame;
		try {
			frame = decodeFrame(bytes);
		} catch (cause) {
			if (!(cause instanceof MalformedBytes)) throw cause;
			this.malformedFrames++;
			this.components.logger.warn('raft message dropped: it cannot be read', {
				from,
				bytes: bytes.length,
				why: cause.message,
			});
			return;
		}
		if (frame.kind !== 'raft') {
			if (!this.transfers.receive(from, frame)) this.components.listener.onFrame(from, frame);
			return;
		}
		for (const message of frame.messages) {
			// A member speaks for itself alone, except that a wish for a hand-over is passed on. The core hears of a
			// snapshot only when its content is here.
			const isForeign = message.from !== from && message.type !== 'transfer-leader';
			if (isForeign || message.type === 'snapshot') this.malformedFrames++;
			else this.absorb({ type: 'message', message });
		}
	}

	private memberLost(member: MemberId): void {
		if (this.stopped) return;
		this.absorb({ type: 'unreachable', id: member });
		const { role, leader } = this.status();
		if (role !== 'follower' || leader !== member || this.hintTimer !== undefined) return;
		this.absorb({ type: 'forget-leader' });
		// Apart from each other, or the survivors split the vote.
		const delayMs = this.components.random() * this.heartbeatMs * 2;
		this.hintTimer = this.components.clock.after(delayMs, () => {
			this.hintTimer = undefined;
			if (this.status().leader === NONE) this.absorb({ type: 'campaign' });
		});
	}

	// --- disk

	private persist(effect: PersistEffect): void {
		if (!effect.mustSync) {
			if (effect.hardState !== undefined) this.lazyHardState = effect.hardState;
			this.writes.push({ effect, batch: {}, state: 'durable' });
			this.report();
			return;
		}
		const hardState = effect.hardState ?? this.lazyHardState;
		this.lazyHardState = undefined;
		const batch: LogBatch = {
			...(hardState && { hardState }),
			...(effect.snapshot && { snapshot: effect.snapshot }),
			...(effect.entries.length > 0 && { entries: effect.entries }),
		};
		this.writes.push({ effect, batch, state: 'waiting' });
		// While there is no room everything queues up behind what was refused, and is tried again in order.
		if (!this.isFull) this.writeWaiting();
	}

	private writeWaiting(): void {
		for (const write of this.writes) {
			if (write.state !== 'waiting') continue;
			write.state = 'writing';
			this.oldestWriteMs ??= this.components.clock.nowMs();
			this.write(write).then(
				() => this.written(write),
				(error: unknown) => this.writeFailed(write, error),
			);
		}
	}

	private async write({ batch }: Write): Promise<void> {
		await this.components.store.append(batch);
		if (batch.snapshot !== undefined && !this.stopped) await this.components.listener.onInstall(batch.snapshot);
	}

	private written(write: Write): void {
		write.state = 'durable';
		if (this.stopped) return;
		if (this.isFull) {
			this.isFull = false;
			this.retryMs = DISK_RETRY_MS;
			this.components.logger.info('raft log has room again');
			this.components.listener.onDisk(false);
			this.writeWaiting();
		}
		this.report();
		this.oldestWriteMs = this.writes.length > 0 ? this.components.clock.nowMs() : undefined;
	}

	/** What is durable, in the order handed out: first the messages that waited for it, then the core. */
	private report(): void {
		while (this.writes[0]?.state === 'durable') {
			const { effect } = this.writes.shift() as Write;
			this.send(effect.messages);
			this.absorb(effect.done);
		}
	}

	private writeFailed(write: Write, error: unknown): void {
		write.state = 'waiting';
		if (this.stopped) return;
		if (!(error instanceof MeshError) || error.code !== 'disk_full') {
			this.fail(error instanceof MeshError ? error : impossible(error));
			return;
		}
		this.oldestWriteMs = undefined;
		if (!this.isFull) {
			this.isFull = true;
			this.components.logger.error('raft log has no room: proposals are refused until there is', {
				error: error.message,
			});
			this.components.listener.onDisk(true);
			this.handOver('its disk is full');
		}
		this.retryTimer ??= this.components.clock.after(this.retryMs, () => {
			this.retryTimer = undefined;
			this.retryMs = Math.min(2 * this.retryMs, DISK_RETRY_MS_MAX);
			// Nobody may have been there to take over the first time.
			this.handOver('its disk is full');
			this.writeWaiting();
		});
	}

	private handOver(why: string): void {
		const { role, transferee } = this.status();
		if (role !== 'leader' || transferee !== NONE) return;
		this.components.logger.warn('raft leader hands over', { why });
		this.absorb({ type: 'transfer-leader', to: NONE });
	}

	// --- time

	private setAlarm(): void {
		const { node, clock } = this.components;
		const deadlineMs = node.nextDeadlineMs();
		if (deadlineMs === undefined) return;
		// One that rings too early does no harm; setting it anew for every message would.
		if (this.alarm !== undefined && this.alarm.atMs <= deadlineMs) return;
		this.alarm?.timer[Symbol.dispose]();
		const delayMs = Math.max(0, deadlineMs - clock.nowMs());
		this.alarm = { atMs: deadlineMs, timer: clock.after(Math.ceil(delayMs), () => this.ring(deadlineMs)) };
	}

	private ring(atMs: number): void {
		this.alarm = undefined;
		if (this.stopped) return;
		const nowMs = this.components.clock.nowMs();
		// This process stood still: what its peers said meanwhile waits to be read, and says whether the leader lives.
		if (nowMs - atMs > this.electionTimeoutMs / 2 && this.status().role !== 'leader') {
			const laterMs = nowMs + this.heartbeatMs;
			this.alarm = { atMs: laterMs, timer: this.components.clock.after(this.heartbeatMs, () => this.ring(laterMs)) };
			return;
		}
		this.absorb({ type: 'tick' });
		// A disk that does not answer holds up everything this leader appends (and says nothing about it).
		if (this.oldestWriteMs !== undefined && nowMs - this.oldestWriteMs > this.electionTimeoutMs) {
			this.oldestWriteMs = nowMs;
			this.handOver('its disk does not answer');
		}
	}
}

function impossible(cause: unknown): MeshError {
	return new MeshError('internal', `raft replica stopped: ${cause instanceof Error ? cause.message : String(cause)}`, {
		cause,
	});
}
