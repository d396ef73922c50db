/**
 * One process of the simulation: a real Raft core, and around it what a driver does, over the simulated disk, network
 * and clock. It gathers events and steps them in batches, and its clock runs a little fast or slow.
 */
import {
	type ConfChange,
	type ConfState,
	type Entry,
	type HardState,
	type MemberId,
	type Message,
	NONE,
	type PersistEffect,
	type ProposalResult,
	type RaftEffects,
	type RaftEvent,
	type RaftNode,
	type RaftOptions,
	type ReadResult,
	type SnapshotMeta,
} from '../core/index.ts';
import { type Checkers, LogView, Violation } from './checkers.ts';
import type { Disk, StoredSnapshot } from './disk.ts';
import { type Command, encodeCommand, Machine } from './machine.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface Packet {
	readonly message: Message;
	/** The content of a snapshot travels with its description. */
	readonly snapshot: StoredSnapshot | undefined;
	isDelivered: boolean;
}

export type Request =
	| { readonly type: 'write'; readonly command: Command }
	| { readonly type: 'read'; readonly key: string };

export type Reply =
	| { readonly type: 'written'; readonly answer: boolean }
	| { readonly type: 'value'; readonly value: string | null }
	/** Not done by this process; `leader` may know better. */
	| { readonly type: 'refused'; readonly leader: MemberId };

type Respond = (reply: Reply) => void;

export interface ProcessComponents {
	readonly random: Random;
	readonly schedule: Schedule;
	readonly checkers: Checkers;
	readonly disk: Disk;
	readonly send: (packet: Packet) => boolean;
	readonly createNode: (options: RaftOptions) => RaftNode;
	readonly stepped: () => void;
	readonly elected: (id: MemberId) => void;
	/** The same for all members of a run. */
	readonly settings: Partial<RaftOptions>;
	/** Planted bugs, see `mutants.ts`. */
	readonly repliesBeforePersist: boolean;
	readonly forgetsVote: boolean;
	readonly keepsMembers: boolean;
}

const SNAPSHOT_EVERY = 40;
const COMPACT_MARGIN = 10;
const EMPTY_HARD_STATE: HardState = { term: 0, vote: NONE, commit: 0 };

export class Process {
	readonly id: MemberId;
	readonly #components: ProcessComponents;
	readonly #clockRate: number;
	#life = 0;
	#lastMembers: ConfState | undefined;
	#node: RaftNode | undefined;
	#machine = new Machine();
	#log = new LogView({ index: 0, term: 0 }, []);
	#hardState: HardState = EMPTY_HARD_STATE;
	#isLeader = false;
	#appliedIndex = 0;
	#inbox: RaftEvent[] = [];
	#isRunPlanned = false;
	#timerAtMs = Number.POSITIVE_INFINITY;
	#pausedUntilMs = 0;
	#applying: Entry[] = [];
	#isApplying = false;
	#isTakingSnapshot = false;
	#snapshots = new Map<number, StoredSnapshot>();
	#nextId = 1;
	#requests = new Map<number, { readonly request: Request; readonly respond: Respond }>();
	#byIndex = new Map<number, { readonly term: number; readonly respond: Respond }>();
	#reads: { readonly index: number; readonly key: string; readonly respond: Respond }[] = [];

	constructor(id: MemberId, components: ProcessComponents) {
		this.id = id;
		this.#components = components;
		// Less than a factor of two apart: beyond it the fastest clock could campaign before anybody else ever does.
		this.#clockRate = 0.75 + components.random() * 0.5;
	}

	get isUp(): boolean {
		return this.#node !== undefined;
	}

	get isLeader(): boolean {
		return this.#node !== undefined && this.#isLeader;
	}

	get term(): number {
		return this.#hardState.term;
	}

	get node(): RaftNode | undefined {
		return this.#node;
	}

	#localNowMs(): number {
		return this.#components.schedule.nowMs * this.#clockRate;
	}

	start(): void {
		const { disk, random, createNode, forgetsVote, keepsMembers, settings } = this.#components;
		this.#life += 1;
		this.#machine = new Machine(disk.snapshot?.machine);
		const base = disk.snapshot?.meta ?? { index: 0, term: 0 };
		this.#log = new LogView(base, disk.entries);
		this.#appliedIndex = base.index;
		const stored = disk.hardState ?? EMPTY_HARD_STATE;
		const hardState = forgetsVote ? { ...stored, vote: NONE } : stored;
		this.#hardState = { ...hardState, commit: Math.max(hardState.commit, base.index) };
		this.#isLeader = false;
		if (disk.snapshot !== undefined) this.#snapshots.set(base.index, disk.snapshot);
		this.#guard(() => {
			this.#node = createNode({
				id: this.id,
				random,
				nowMs: this.#localNowMs(),
				...settings,
				hardState,
				entries: disk.entries.slice(),
				...(disk.snapshot === undefined ? {} : { snapshot: this.#remembered(disk.snapshot.meta, keepsMembers) }),
			});
		});
		this.#planRun();
	}

	/** The planted bug: members of a later index, to which the changes up to there are applied again. */
	#remembered(meta: SnapshotMeta, keepsMembers: boolean): SnapshotMeta {
		const confState = keepsMembers ? this.#lastMembers : undefined;
		return confState === undefined ? meta : { ...meta, confState };
	}

	/** Loses everything but the disk. */
	crash(): void {
		this.#life += 1;
		this.#lastMembers = this.#node?.status().confState;
		this.#node = undefined;
		this.#components.disk.crash();
		this.#inbox = [];
		this.#isRunPlanned = false;
		this.#timerAtMs = Number.POSITIVE_INFINITY;
		this.#pausedUntilMs = 0;
		this.#applying = [];
		this.#isApplying = false;
		this.#isTakingSnapshot = false;
		this.#snapshots = new Map();
		this.#requests = new Map();
		this.#byIndex = new Map();
		this.#reads = [];
	}

	/** Does nothing for a while, as if stopped by a signal, and then goes on as if nothing had been. */
	pause(durationMs: number): void {
		this.#pausedUntilMs = this.#components.schedule.nowMs + durationMs;
	}

	receive(packet: Packet): void {
		if (!this.isUp) return;
		packet.isDelivered = true;
		if (packet.snapshot !== undefined) this.#snapshots.set(packet.snapshot.meta.index, packet.snapshot);
		this.#post({ type: 'message', message: packet.message });
	}

	request(request: Request, respond: Respond): void {
		if (!this.isUp) {
			respond({ type: 'refused', leader: NONE });
			return;
		}
		const id = this.#nextId++;
		this.#requests.set(id, { request, respond });
		this.#post(
			request.type === 'read'
				? { type: 'read-index', id }
				: { type: 'propose', id, payloads: [encodeCommand(request.command)] },
		);
	}

	handOver(): void {
		if (this.isUp) this.#post({ type: 'transfer-leader', to: NONE });
	}

	forgetLeader(): void {
		if (this.isUp) this.#post({ type: 'forget-leader' });
	}

	reconfigure(change: ConfChange): void {
		if (this.isUp) this.#post({ type: 'propose-conf-change', id: 0, change });
	}

	#post(event: RaftEvent): void {
		this.#inbox.push(event);
		this.#planRun();
	}

	/** Runs in this life only: what a former life had planned is gone. */
	#later(delayMs: number, run: () => void): void {
		const life = this.#life;
		this.#components.schedule.after(delayMs, () => {
			if (life === this.#life) run();
		});
	}

	#planRun(): void {
		if (this.#isRunPlanned) return;
		this.#isRunPlanned = true;
		this.#later(this.#components.random() * 0.5, () => this.#run());
	}

	#run(): void {
		const { schedule, random } = this.#components;
		if (schedule.nowMs < this.#pausedUntilMs) {
			this.#later(this.#pausedUntilMs - schedule.nowMs, () => this.#run());
			return;
		}
		this.#isRunPlanned = false;
		const node = this.#node;
		if (node === undefined) return;
		const events = this.#inbox.splice(0, random.int(1, Math.max(1, this.#inbox.length)));
		const nowMs = this.#localNowMs();
		if ((node.nextDeadlineMs() ?? Number.POSITIVE_INFINITY) <= nowMs) events.push({ type: 'tick' });
		this.#guard(() => this.#perform(node.step(events, nowMs)));
		this.#components.stepped();
		this.#maybeTakeSnapshot(node);
		if (this.#inbox.length > 0) this.#planRun();
		this.#planTimer(node);
	}

	#guard(action: () => void): void {
		try {
			action();
		} catch (error) {
			if (error instanceof Violation || !(error instanceof Error)) throw error;
			throw new Violation('no impossible state', `member ${this.id}: ${error.message}`);
		}
	}

	#planTimer(node: RaftNode): void {
		const deadlineMs = node.nextDeadlineMs();
		if (deadlineMs === undefined) return;
		const atMs = deadlineMs / this.#clockRate + 0.01;
		if (atMs >= this.#timerAtMs && this.#timerAtMs > this.#components.schedule.nowMs) return;
		this.#timerAtMs = atMs;
		this.#later(atMs - this.#components.schedule.nowMs, () => {
			if (this.#timerAtMs !== atMs) return;
			this.#timerAtMs = Number.POSITIVE_INFINITY;
			this.#planRun();
		});
	}

	/** In the order that the contract of the core asks for. */
	#perform(effects: RaftEffects): void {
		const { checkers } = this.#components;
		for (const message of effects.messages) this.#send(message);
		if (effects.persist !== undefined) this.#persist(effects.persist);
		if (effects.leadership !== undefined) {
			this.#isLeader = effects.leadership.role === 'leader';
			if (this.#isLeader) {
				checkers.led(this.id, this.#hardState.term, this.#log);
				this.#components.elected(this.id);
			}
		}
		if (effects.apply.length > 0) {
			for (const entry of effects.apply) checkers.applied(this.id, entry);
			this.#applying.push(...effects.apply);
			this.#applyNext();
		}
		for (const result of effects.reads) this.#readAnswered(result);
		for (const result of effects.proposals) this.#proposalAnswered(result);
	}

	#send(message: Message): void {
		this.#components.checkers.sent(message);
		if (message.type !== 'snapshot') {
			this.#components.send({ message, snapshot: undefined, isDelivered: false });
			return;
		}
		const packet = { message, snapshot: this.#snapshots.get(message.snapshot.index), isDelivered: false };
		if (packet.snapshot === undefined) throw new Error(`there is no snapshot ${message.snapshot.index} to send`);
		this.#components.send(packet);
		const waitMs = 50 + this.#components.random() * 100;
		this.#later(waitMs, () => this.#post({ type: 'snapshot-status', id: message.to, ok: packet.isDelivered }));
	}

	#persist(effect: PersistEffect): void {
		const { checkers, disk, repliesBeforePersist } = this.#components;
		const { entries, hardState, snapshot, messages, done } = effect;
		const content = snapshot === undefined ? undefined : this.#snapshots.get(snapshot.index);
		if (snapshot !== undefined) {
			if (content === undefined) throw new Error(`snapshot ${snapshot.index} did not arrive`);
			checkers.snapshot(this.id, snapshot);
			this.#log.restore(snapshot);
		}
		const first = entries[0];
		if (first !== undefined) {
			this.#log.append(entries);
			checkers.appended(this.id, entries, this.#log);
		}
		if (hardState !== undefined) this.#checkHardState(hardState);
		if (repliesBeforePersist) for (const message of messages) this.#send(message);
		disk.write(effect, content, () => {
			if (content !== undefined) this.#install(content);
			if (!repliesBeforePersist) for (const message of messages) this.#send(message);
			this.#post(done);
		});
	}

	#checkHardState(after: HardState): void {
		const { checkers } = this.#components;
		const before = this.#hardState;
		checkers.hardState(this.id, before, after);
		for (let index = Math.max(before.commit, this.#log.baseIndex) + 1; index <= after.commit; index++) {
			const entry = this.#log.entryAt(index);
			if (entry === undefined) throw new Violation('no impossible state', `member ${this.id} commits beyond its log`);
			checkers.committed(this.id, index, entry, after.term);
		}
		this.#hardState = after;
	}

	#install(content: StoredSnapshot): void {
		this.#machine = new Machine(content.machine);
		this.#appliedIndex = content.meta.index;
		this.#applying = this.#applying.filter(({ index }) => index > content.meta.index);
		for (const [index, { respond }] of this.#byIndex) {
			if (index > content.meta.index) continue;
			this.#byIndex.delete(index);
			respond({ type: 'refused', leader: NONE });
		}
		this.#serveReads();
	}

	#applyNext(): void {
		if (this.#isApplying || this.#applying.length === 0) return;
		this.#isApplying = true;
		this.#later(this.#components.random() * 2, () => {
			this.#isApplying = false;
			const count = this.#components.random.int(1, Math.max(1, this.#applying.length));
			const entries = this.#applying.splice(0, count);
			for (const entry of entries) this.#apply(entry);
			const last = entries.at(-1);
			if (last !== undefined) this.#post({ type: 'applied', index: last.index });
			this.#serveReads();
			this.#applyNext();
		});
	}

	#apply(entry: Entry): void {
		if (entry.index !== this.#appliedIndex + 1) {
			throw new Violation(
				'state machine safety',
				`member ${this.id} applies ${entry.index} after ${this.#appliedIndex}`,
			);
		}
		this.#appliedIndex = entry.index;
		const waiting = this.#byIndex.get(entry.index);
		this.#byIndex.delete(entry.index);
		const isCommand = entry.type === 'normal' && entry.data.byteLength > 0;
		const answer = isCommand ? this.#machine.apply(entry.data).answer : false;
		if (waiting === undefined) return;
		waiting.respond(waiting.term === entry.term ? { type: 'written', answer } : { type: 'refused', leader: NONE });
	}

	#proposalAnswered(result: ProposalResult): void {
		const waiting = this.#requests.get(result.id);
		this.#requests.delete(result.id);
		if (waiting === undefined) return;
		if (result.outcome === 'accepted') {
			this.#byIndex.set(result.index, { term: result.term, respond: waiting.respond });
		} else {
			waiting.respond({ type: 'refused', leader: result.leader });
		}
	}

	#readAnswered(result: ReadResult): void {
		const waiting = this.#requests.get(result.id);
		this.#requests.delete(result.id);
		if (waiting?.request.type !== 'read') return;
		if (result.outcome === 'refused') {
			waiting.respond({ type: 'refused', leader: result.leader });
			return;
		}
		this.#reads.push({ index: result.index, key: waiting.request.key, respond: waiting.respond });
		this.#serveReads();
	}

	#serveReads(): void {
		if (this.#reads.length === 0) return;
		const ready = this.#reads.filter(({ index }) => index <= this.#appliedIndex);
		this.#reads = this.#reads.filter(({ index }) => index > this.#appliedIndex);
		for (const { key, respond } of ready) respond({ type: 'value', value: this.#machine.get(key) });
	}

	/** Only when the node has heard of everything applied: then its membership is that of the snapshot. */
	#maybeTakeSnapshot(node: RaftNode): void {
		const { disk, checkers, random } = this.#components;
		const index = this.#appliedIndex;
		if (this.#isTakingSnapshot || index - (disk.snapshot?.meta.index ?? 0) < SNAPSHOT_EVERY) return;
		const { appliedIndex, confState } = node.status();
		const term = this.#log.termAt(index);
		if (appliedIndex !== index || term === undefined) return;
		const snapshot = { meta: { index, term, confState }, machine: new Machine(this.#machine) };
		checkers.digest(this.id, index, this.#machine.digest());
		this.#isTakingSnapshot = true;
		this.#later(1 + random() * 20, () => {
			this.#isTakingSnapshot = false;
			if (index <= (disk.snapshot?.meta.index ?? 0)) return;
			disk.compact(snapshot);
			this.#snapshots.set(index, snapshot);
			const compactIndex = Math.max(0, index - COMPACT_MARGIN);
			this.#log.compact(compactIndex);
			this.#post({ type: 'compacted', snapshot: snapshot.meta, compactIndex });
		});
	}

	/** What everybody must agree on, when nothing is going on any more. */
	finalDigest(): { readonly index: number; readonly digest: string } {
		return { index: this.#appliedIndex, digest: this.#machine.digest() };
	}
}
