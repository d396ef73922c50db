/**
 * A few nodes on a table: every effect is performed at once and every message delivered in order, until a test cuts a
 * link, holds a disk, or looks at a message. Time moves only when a test says so.
 */
import {
	type AppendMessage,
	type AppendResponse,
	bootstrapLog,
	createRaftNode,
	type Entry,
	type HardState,
	type MemberId,
	type Message,
	type PersistedEvent,
	type ProposalResult,
	type RaftEffects,
	type RaftEvent,
	type RaftNode,
	type RaftOptions,
	type ReadResult,
	type SnapshotMeta,
} from '../index.ts';

export const ELECTION_MS = 100;
export const HEARTBEAT_MS = 10;

export interface Disk {
	hardState: HardState | undefined;
	snapshot: SnapshotMeta | undefined;
	entries: Entry[];
}

interface Held {
	readonly messages: readonly Message[];
	readonly write: () => void;
	readonly done: PersistedEvent;
}

export interface Member {
	readonly id: MemberId;
	node: RaftNode;
	readonly disk: Disk;
	/** Payload texts in the order applied since the last start. */
	applied: string[];
	/** Writes that have not finished, while `holdsDisk`. */
	held: Held[];
	holdsDisk: boolean;
	readonly proposals: ProposalResult[];
	readonly reads: ReadResult[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const NO_CONTEXT = new Uint8Array(0);

export function bytes(text: string): Uint8Array {
	return encoder.encode(text);
}

export function entry(term: number, index: number, text = ''): Entry {
	return { term, index, type: 'normal', data: bytes(text) };
}

/** What member 1 sends as a leader; `prev` is index and term. */
export function append(
	to: number,
	term: number,
	prev: readonly [number, number],
	entries: Entry[],
	commit = 0,
): AppendMessage {
	return { type: 'append', from: 1, to, term, prevIndex: prev[0], prevTerm: prev[1], entries, commit };
}

/** What member 1 hears as a leader. */
export function acknowledgement(from: number, term: number, index: number): AppendResponse {
	return { type: 'append-response', from, to: 1, term, index, reject: false, hintIndex: 0, hintTerm: 0 };
}

export function bootstrap(ids: readonly MemberId[]): Disk {
	const log = bootstrapLog(ids.map((id) => ({ id, context: NO_CONTEXT })));
	return { hardState: log.hardState, snapshot: undefined, entries: [...log.entries] };
}

export function emptyDisk(): Disk {
	return { hardState: undefined, snapshot: undefined, entries: [] };
}

export class Cluster {
	readonly members = new Map<MemberId, Member>();
	nowMs = 0;
	/** Under way; delivered by `settle`. */
	queue: Message[] = [];
	/** Everything that was delivered. */
	readonly delivered: Message[] = [];
	/** Messages for which this is true are lost. */
	isLost: (message: Message) => boolean = () => false;
	readonly #options: Partial<RaftOptions>;
	#draws = 0;

	constructor(ids: readonly MemberId[], options: Partial<RaftOptions> = {}) {
		this.#options = options;
		for (const id of ids) this.add(id, bootstrap(ids));
	}

	/** Bootstraps with logs of the test's choice: per member the terms of its entries after the bootstrap entries. */
	static withLogs(logs: Readonly<Record<MemberId, readonly number[]>>, options: Partial<RaftOptions> = {}): Cluster {
		const ids = Object.keys(logs).map(Number);
		const cluster = new Cluster([], options);
		for (const id of ids) {
			const disk = bootstrap(ids);
			for (const term of logs[id] ?? []) disk.entries.push(entry(term, disk.entries.length + 1));
			const term = Math.max(1, ...(logs[id] ?? []));
			disk.hardState = { term, vote: 0, commit: ids.length };
			cluster.add(id, disk);
		}
		return cluster;
	}

	add(id: MemberId, disk: Disk = emptyDisk()): Member {
		const member: Member = {
			id,
			node: this.#start(id, disk),
			disk,
			applied: [],
			held: [],
			holdsDisk: false,
			proposals: [],
			reads: [],
		};
		this.members.set(id, member);
		this.#perform(member, member.node.drain());
		return member;
	}

	#start(id: MemberId, disk: Disk): RaftNode {
		return createRaftNode({
			id,
			// Spread over [0, 1) so that no two timeouts are equal.
			random: () => (this.#draws++ * 0.37) % 1,
			nowMs: this.nowMs,
			electionTimeoutMs: ELECTION_MS,
			heartbeatMs: HEARTBEAT_MS,
			entries: [...disk.entries],
			...(disk.hardState === undefined ? {} : { hardState: disk.hardState }),
			...(disk.snapshot === undefined ? {} : { snapshot: disk.snapshot }),
			...this.#options,
		});
	}

	member(id: MemberId): Member {
		const member = this.members.get(id);
		if (member === undefined) throw new Error(`no member ${id}`);
		return member;
	}

	node(id: MemberId): RaftNode {
		return this.member(id).node;
	}

	/** Steps and performs; messages wait in `queue`. */
	step(id: MemberId, event: RaftEvent): RaftEffects {
		const member = this.member(id);
		const effects = member.node.step(event, this.nowMs);
		this.#perform(member, effects);
		return effects;
	}

	#perform(member: Member, effects: RaftEffects): void {
		this.queue.push(...effects.messages);
		member.proposals.push(...effects.proposals);
		member.reads.push(...effects.reads);
		const followUps: RaftEvent[] = [];
		if (effects.persist !== undefined) {
			const { hardState, entries, snapshot, messages, done } = effects.persist;
			const write = () => {
				const { disk } = member;
				if (hardState !== undefined) disk.hardState = hardState;
				if (snapshot !== undefined) {
					disk.snapshot = snapshot;
					disk.entries = [];
				}
				const first = entries[0];
				if (first !== undefined) {
					disk.entries.length = first.index - 1 - (disk.snapshot?.index ?? 0);
					disk.entries.push(...entries);
				}
			};
			member.held.push({ messages, write, done });
			if (!member.holdsDisk) followUps.push(...this.#finishWrites(member));
		}
		const last = effects.apply.at(-1);
		if (last !== undefined) {
			for (const { type, data } of effects.apply) {
				if (type === 'normal' && data.byteLength > 0) member.applied.push(decoder.decode(data));
			}
			followUps.push({ type: 'applied', index: last.index });
		}
		for (const event of followUps) this.#perform(member, member.node.step(event, this.nowMs));
		if (member.node.hasEffects()) this.#perform(member, member.node.drain());
	}

	#finishWrites(member: Member): PersistedEvent[] {
		const held = member.held.splice(0);
		for (const { write, messages } of held) {
			write();
			this.queue.push(...messages);
		}
		return held.map(({ done }) => done);
	}

	/** The disk catches up with everything handed to it. */
	releaseDisk(id: MemberId): void {
		const member = this.member(id);
		member.holdsDisk = false;
		for (const done of this.#finishWrites(member)) this.#perform(member, member.node.step(done, this.nowMs));
	}

	/** Loses memory and unfinished writes, and starts again from the disk. */
	restart(id: MemberId): void {
		const member = this.member(id);
		member.held = [];
		member.holdsDisk = false;
		member.applied = [];
		this.queue = this.queue.filter((message) => message.from !== id);
		member.node = this.#start(id, member.disk);
		this.#perform(member, member.node.drain());
	}

	/** Delivers until nothing is under way. */
	settle(): void {
		for (let message = this.queue.shift(); message !== undefined; message = this.queue.shift()) {
			this.deliver(message);
		}
	}

	deliver(message: Message): void {
		if (this.isLost(message) || !this.members.has(message.to)) return;
		this.delivered.push(message);
		this.step(message.to, { type: 'message', message });
	}

	/** Lets time pass in heartbeats, ticking whoever is due and delivering everything. */
	run(durationMs: number): void {
		const endMs = this.nowMs + durationMs;
		while (this.nowMs < endMs) {
			this.nowMs += 1;
			for (const { id, node } of this.members.values()) {
				if ((node.nextDeadlineMs() ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.step(id, { type: 'tick' });
			}
			this.settle();
		}
	}

	/** Makes `id` leader by its own campaign. */
	elect(id: MemberId): void {
		this.step(id, { type: 'campaign' });
		this.settle();
	}

	propose(id: MemberId, text: string): ProposalResult {
		this.step(id, { type: 'propose', id: 0, payloads: [bytes(text)] });
		return this.member(id).proposals.at(-1) as ProposalResult;
	}

	isolate(...ids: readonly MemberId[]): void {
		this.isLost = ({ from, to }) => ids.includes(from) !== ids.includes(to);
	}

	heal(): void {
		this.isLost = () => false;
	}

	get leaders(): MemberId[] {
		return [...this.members.values()].filter(({ node }) => node.status().role === 'leader').map(({ id }) => id);
	}

	/** The terms of a member's durable entries after the first `skip`. */
	terms(id: MemberId, skip: number): number[] {
		return this.member(id)
			.disk.entries.slice(skip)
			.map(({ term }) => term);
	}
}
