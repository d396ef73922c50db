/**
 * One member of a replicated state machine, put together: the driver with its core below, the replicated state, and
 * the proposals and reads of this process above.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../errors.ts';
import { silentLogger } from '../telemetry/index.ts';
import { systemClock } from './clock.ts';
import { MalformedBytes } from './codec/bytes.ts';
import type { Forwarded, ForwardOutcome, Frame } from './codec/frames.ts';
import { packValue } from './codec/values.ts';
import { type GroupConfig, resolveGroupConfig } from './config.ts';
import {
	bootstrapLog,
	type ConfState,
	createRaftNode,
	type Entry,
	type MemberId,
	NONE,
	type ProposalResult,
	type Role,
	type SnapshotMeta,
} from './core/index.ts';
import { RaftDriver } from './driver.ts';
import type {
	Group,
	GroupEvent,
	GroupRole,
	MemberIdentity,
	MemberStatus,
	OpenGroupOptions,
	ReadOptions,
} from './group.types.ts';
import { encodeContexts, nextChange } from './members.ts';
import { Patience } from './patience.ts';
import { Proposals } from './proposals.ts';
import { Reads } from './reads.ts';
import { type CommandResult, ReplicaState } from './replica.ts';
import { decodeCommand, stamped } from './sessions.ts';
import { Snapshots } from './snapshots.ts';
import type { RecoveredLog } from './storage/log-store.ts';

/** Bytes of entries in one message. Small enough that heartbeats behind it are not late. */
const MESSAGE_BYTES_MAX = 256 * 1024;
/** What a command's frame adds to its encoded bytes. */
const COMMAND_OVERHEAD_BYTES = 512;
const CALLER_ID_BYTES_MAX = 256;

/**
 * Opens this member's log, replays it, and takes part from then on. Does not wait for a leader.
 *
 * Errors: `corrupt` with file and byte for a log that cannot be trusted, `conflict` when another process has it open,
 * `invalid_input` for settings that clash.
 */
export async function openGroup<S, C extends StandardSchemaV1, R>(
	options: OpenGroupOptions<S, C, R>,
): Promise<Group<S, StandardSchemaV1.InferInput<C>, R>> {
	const config = resolveGroupConfig(options.settings);
	const log = await options.store.recover();
	try {
		const start = await startingLog(options, log);
		const group = new RaftGroup(options, config, start);
		await group.start(start);
		return group;
	} catch (error) {
		await options.store[Symbol.asyncDispose]();
		throw error;
	}
}

type Start = Pick<RecoveredLog, 'hardState' | 'entries' | 'snapshot'>;

async function startingLog<S, C extends StandardSchemaV1, R>(
	{ name, selfId, bootstrap, store, logger = silentLogger }: OpenGroupOptions<S, C, R>,
	log: RecoveredLog,
): Promise<Start> {
	if (log.tornBytes > 0) logger.warn('raft log: a torn last write was cut off', { group: name, bytes: log.tornBytes });
	if (log.hardState !== undefined || bootstrap === undefined) return log;
	if (!bootstrap.some(({ id }) => id === selfId)) {
		const ids = bootstrap.map(({ id }) => id).join(', ');
		throw new MeshError('invalid_input', `group ${name}: member ${selfId} is not among its first members ${ids}`);
	}
	const first = bootstrapLog(bootstrap.map((member) => ({ id: member.id, context: encodeContexts([member]) })));
	await store.append(first);
	return { ...first, snapshot: log.snapshot };
}

class RaftGroup<S, C extends StandardSchemaV1, R> implements Group<S, StandardSchemaV1.InferInput<C>, R> {
	readonly selfId: MemberId;
	private readonly options: OpenGroupOptions<S, C, R>;
	private readonly config: GroupConfig;
	private readonly driver: RaftDriver;
	private readonly replica: ReplicaState<S, C, R>;
	private readonly proposals: Proposals<CommandResult<R>>;
	private readonly reads: Reads;
	private readonly snapshots: Snapshots;
	private readonly patience: Patience;
	private readonly clock: NonNullable<OpenGroupOptions<S, C, R>['clock']>;
	private readonly listeners = new Set<(event: GroupEvent) => void>();
	private readonly watchers = new Set<() => void>();
	/** Others' proposals handed to our core: whom to answer. */
	private readonly forwarded = new Map<number, { readonly from: MemberId; readonly ids: readonly number[] }>();
	private nextForwardedBatch = -1;
	private raftRole: Role = 'follower';
	private leader: MemberId = NONE;
	private conf: ConfState;
	private desired: readonly MemberIdentity[] | undefined;
	private sweepTimer: Disposable | undefined;
	private ended: MeshError | undefined;

	constructor(options: OpenGroupOptions<S, C, R>, config: GroupConfig, start: Start) {
		this.options = options;
		this.config = config;
		this.selfId = options.selfId;
		this.clock = options.clock ?? systemClock;
		this.conf = start.snapshot.confState;
		const { name, selfId, store, link, random = Math.random } = options;
		const logger = (options.logger ?? silentLogger).with({ group: name, member: selfId });
		this.replica = new ReplicaState(options.machine, config);
		this.patience = new Patience(config, this.clock.nowMs());
		const node = createRaftNode({
			id: selfId,
			random,
			nowMs: this.clock.nowMs(),
			electionTimeoutMs: config.electionTimeoutMs,
			heartbeatMs: config.heartbeatMs,
			messageBytesMax: MESSAGE_BYTES_MAX,
			entries: start.entries,
			// The members are those of the snapshot, and every change after it is applied anew: never from another base.
			snapshot: start.snapshot,
			...(start.hardState && { hardState: start.hardState }),
		});
		this.driver = new RaftDriver(
			{
				node,
				store,
				link,
				clock: this.clock,
				logger,
				random,
				listener: {
					onApply: (entries) => this.apply(entries),
					onInstall: (snapshot) => this.snapshots.install(snapshot),
					onReads: (results) => this.reads.results(results),
					onProposals: (results) => this.proposalResults(results),
					onLeadership: (role, leader) => this.leadershipChanged(role, leader),
					onMembers: (confState) => this.membersChanged(confState),
					onFrame: (from, frame) => this.receive(from, frame),
					onDisk: (isFull) => this.diskChanged(isFull),
					onFailed: (error) => this.failed(error),
				},
			},
			config,
		);
		this.proposals = new Proposals(
			{
				selfId,
				leadership: () => ({ isLeader: this.raftRole === 'leader', leader: this.leader, term: this.driver.term }),
				isDiskFull: () => this.driver.isDiskFull,
				proposeLocally: (id, commands) => this.proposeLocally(id, commands),
				forward: (leader, proposals) => this.forward(leader, proposals),
				needsSweep: () => this.needsSweep(),
			},
			config,
			{ clock: this.clock, random, patience: this.patience },
		);
		this.reads = new Reads(
			{
				hasLeader: () => this.leader !== NONE,
				ask: (id) => this.driver.absorb({ type: 'read-index', id }),
				appliedIndex: () => this.replica.appliedIndex,
				isDiskFull: () => this.driver.isDiskFull,
				needsSweep: () => this.needsSweep(),
			},
			config,
			{ clock: this.clock, patience: this.patience },
		);
		this.snapshots = new Snapshots(
			store,
			{
				describe: () => this.describe(),
				capture: () => this.replica.snapshot(),
				restore: (snapshot, content) => this.restore(snapshot, content),
				compacted: (snapshot, compactIndex) => this.driver.compacted(snapshot, compactIndex),
			},
			logger,
			config.snapshotAfterBytes,
		);
	}

	async start({ snapshot }: Start): Promise<void> {
		await this.snapshots.recover(snapshot);
		this.driver.start();
	}

	// --- what callers do

	async propose(
		command: StandardSchemaV1.InferInput<C>,
		{ id = '', signal }: { readonly id?: string; readonly signal?: AbortSignal } = {},
	): Promise<R> {
		this.refuseIfEnded();
		if (this.driver.isDiskFull) {
			// Results are seen by applying, and this replica applies what its disk holds.
			throw new MeshError(
				'disk_full',
				`the log of group ${this.options.name} has no room on this replica: free space, or ask another`,
			);
		}
		const payload = packValue(await this.validated(command));
		const { entryBytesMax } = this.config;
		if (payload.length > entryBytesMax) {
			throw new MeshError(
				'invalid_input',
				`the command takes ${payload.length} bytes, more than the ${entryBytesMax} that fit into an entry`,
			);
		}
		if (id.length > CALLER_ID_BYTES_MAX) {
			throw new MeshError('invalid_input', `the id of ${id.length} characters is longer than ${CALLER_ID_BYTES_MAX}`);
		}
		this.refuseIfEnded();
		const result = await this.proposals.propose(payload, id, signal);
		if (result.ok) return result.value;
		throw result.error;
	}

	private async validated(command: unknown): Promise<unknown> {
		const result = await this.options.machine.command['~standard'].validate(command);
		if (!result.issues) return result.value;
		const first = result.issues[0];
		const path = (first?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
		const where = path === '' ? '' : `${path}: `;
		throw new MeshError('invalid_input', `the command does not fit its schema: ${where}${first?.message ?? ''}`);
	}

	async read<T>(view: (state: Readonly<S>) => T, { level = 'linear', signal }: ReadOptions = {}): Promise<T> {
		this.refuseIfEnded();
		if (level === 'linear') await this.reads.barrier(signal);
		return view(this.replica.state);
	}

	async *changes({
		from = 0n,
		signal,
	}: {
		readonly from?: bigint;
		readonly signal?: AbortSignal;
	} = {}): AsyncGenerator<{
		readonly index: bigint;
		readonly state: Readonly<S>;
	}> {
		let seen = from - 1n;
		while (!signal?.aborted) {
			this.refuseIfEnded();
			const index = this.appliedIndex;
			if (index > seen) {
				seen = index;
				yield { index, state: this.replica.state };
			} else await this.nextApply(signal);
		}
	}

	private nextApply(signal: AbortSignal | undefined): Promise<void> {
		return new Promise((resolve) => {
			const wake = (): void => {
				this.watchers.delete(wake);
				signal?.removeEventListener('abort', wake);
				resolve();
			};
			this.watchers.add(wake);
			signal?.addEventListener('abort', wake, { once: true });
		});
	}

	transferLeadership(to: MemberId = NONE): Promise<void> {
		this.refuseIfEnded();
		const before = this.leader;
		if (to !== NONE && to === before) return Promise.resolve();
		return new Promise((resolve, reject) => {
			const end = (error?: MeshError): void => {
				timer[Symbol.dispose]();
				listener[Symbol.dispose]();
				if (error === undefined) resolve();
				else reject(error);
			};
			const listener = this.onEvent((event) => {
				if (event.type === 'failed') end(this.ended);
				if (event.type !== 'leadership' || event.leaderId === undefined || event.leaderId === before) return;
				end();
			});
			const timer = this.clock.after(2 * this.config.electionTimeoutMs, () => {
				const whom = to === NONE ? 'anybody' : `member ${to}`;
				end(
					new MeshError(
						'unavailable',
						`leadership was not handed over to ${whom} in time; member ${before || 'none'} led before`,
					),
				);
			});
			this.driver.absorb({ type: 'transfer-leader', to });
		});
	}

	reconcileMembers(desired: readonly MemberIdentity[]): void {
		this.desired = desired;
		this.reconcile();
	}

	onEvent(listener: (event: GroupEvent) => void): Disposable {
		this.listeners.add(listener);
		return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
	}

	get role(): GroupRole {
		if (this.raftRole === 'leader') return 'leader';
		const { voters, votersOutgoing } = this.conf;
		// Also one that has not heard yet that it is a member.
		if (!voters.includes(this.selfId) && !votersOutgoing.includes(this.selfId)) return 'learner';
		return this.raftRole === 'follower' ? 'follower' : 'candidate';
	}

	get term(): bigint {
		return BigInt(this.driver.term);
	}

	get leaderId(): MemberId | undefined {
		return this.leader === NONE ? undefined : this.leader;
	}

	get hasQuorum(): boolean {
		return this.leader !== NONE && this.ended === undefined;
	}

	get isDiskFull(): boolean {
		return this.driver.isDiskFull;
	}

	get commitIndex(): bigint {
		return BigInt(this.driver.status().commitIndex);
	}

	get appliedIndex(): bigint {
		return BigInt(this.replica.appliedIndex);
	}

	get confState(): ConfState {
		return this.conf;
	}

	members(): readonly MemberStatus[] {
		const { progress } = this.driver.status();
		const { voters, votersOutgoing, learners } = this.conf;
		const voting = new Set([...voters, ...votersOutgoing]);
		const ids = [...new Set([...voting, ...learners])].sort((a, b) => a - b);
		return ids.map((id) => ({
			id,
			context: this.replica.contexts.get(id) ?? new Uint8Array(0),
			kind: voting.has(id) ? 'voter' : 'learner',
			isLeader: id === this.leader,
			progress: progress.find((one) => one.id === id),
		}));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.end(new MeshError('unavailable', `group ${this.options.name} was closed on this replica`));
		await this.driver.stop();
		await this.snapshots.close();
		await this.options.store[Symbol.asyncDispose]();
	}

	// --- what the driver reports

	private apply(entries: readonly Entry[]): void {
		for (const entry of entries) this.proposals.applied(entry.index, entry.term, this.replica.apply(entry));
		this.snapshots.applied(entries);
		this.reads.applied(this.replica.appliedIndex);
		for (const wake of [...this.watchers]) wake();
	}

	/** What the state stands for, when the core agrees about what is applied: then its members are those of the state. */
	private describe(): SnapshotMeta | undefined {
		const { appliedIndex: index, appliedTerm: term } = this.replica;
		const { appliedIndex, firstIndex, confState } = this.driver.status();
		// A log that begins later waits for the leader's snapshot, whose members the core has already.
		const isCurrent = index > 0 && index === appliedIndex && firstIndex <= index + 1;
		return isCurrent && this.ended === undefined ? { index, term, confState } : undefined;
	}

	private async restore(snapshot: SnapshotMeta, content: AsyncIterable<Uint8Array>): Promise<void> {
		await this.replica.restore(snapshot, content);
		this.proposals.restored(snapshot.index, this.replica.sessions);
		this.reads.applied(snapshot.index);
		for (const wake of [...this.watchers]) wake();
	}

	private leadershipChanged(role: Role, leader: MemberId): void {
		this.raftRole = role;
		this.leader = leader;
		this.patience.leadershipChanged(leader !== NONE, this.clock.nowMs());
		this.proposals.leadershipChanged();
		this.reads.leadershipChanged();
		this.reconcile();
		this.emit({ type: 'leadership', role: this.role, leaderId: this.leaderId, term: this.term });
	}

	private diskChanged(isFull: boolean): void {
		this.proposals.diskChanged(isFull);
		this.emit({ type: 'disk', isFull });
	}

	private membersChanged(confState: ConfState): void {
		this.conf = confState;
		this.reconcile();
		this.emit({ type: 'members', confState });
	}

	private proposalResults(results: readonly ProposalResult[]): void {
		for (const result of results) {
			const other = this.forwarded.get(result.id);
			if (other === undefined) {
				this.proposals.localResult(result);
				continue;
			}
			this.forwarded.delete(result.id);
			this.answer(other.from, other.ids, (i) =>
				result.outcome === 'accepted'
					? { outcome: 'accepted', term: result.term, index: result.index + i }
					: { outcome: 'refused', reason: result.outcome === 'refused' ? result.reason : 'not-leader' },
			);
		}
	}

	private receive(from: MemberId, frame: Frame): void {
		if (frame.kind === 'forward-answer') {
			for (const { id, ...outcome } of frame.answers) this.proposals.answered(id, outcome);
		} else if (frame.kind === 'forward') {
			// What no member of ours would send must not get into the log, where every replica would meet it for ever.
			const readable = frame.proposals.filter(({ payload }) => this.isReadable(payload));
			if (readable.length === 0) return;
			const ids = readable.map(({ id }) => id);
			if (this.raftRole !== 'leader') this.answer(from, ids, () => ({ outcome: 'refused', reason: 'not-leader' }));
			else if (this.driver.isDiskFull) this.answer(from, ids, () => ({ outcome: 'refused', reason: 'disk-full' }));
			else {
				const batch = this.nextForwardedBatch--;
				this.forwarded.set(batch, { from, ids });
				this.proposeLocally(
					batch,
					readable.map(({ payload }) => payload),
				);
			}
		}
	}

	private isReadable(payload: Uint8Array): boolean {
		if (payload.length > this.config.entryBytesMax + COMMAND_OVERHEAD_BYTES + 4 * CALLER_ID_BYTES_MAX) return false;
		try {
			decodeCommand(payload);
			return true;
		} catch (error) {
			if (error instanceof MalformedBytes) return false;
			throw error;
		}
	}

	private answer(to: MemberId, ids: readonly number[], outcome: (i: number) => ForwardOutcome): void {
		// Lost answers are asked for again.
		this.driver.sendFrame(to, { kind: 'forward-answer', answers: ids.map((id, i) => ({ id, ...outcome(i) })) });
	}

	private proposeLocally(id: number, commands: readonly Uint8Array[]): void {
		const wallMs = this.clock.wallMs();
		this.driver.absorb({ type: 'propose', id, payloads: commands.map((command) => stamped(command, wallMs)) });
	}

	/** In messages of bounded size; stops at the first that the link does not take. */
	private forward(leader: MemberId, proposals: readonly Forwarded[]): number {
		let sent = 0;
		while (sent < proposals.length) {
			let end = sent;
			let bytes = 0;
			do bytes += (proposals[end++] as Forwarded).payload.length;
			while (end < proposals.length && bytes < MESSAGE_BYTES_MAX);
			if (!this.driver.sendFrame(leader, { kind: 'forward', proposals: proposals.slice(sent, end) })) break;
			sent = end;
		}
		return sent;
	}

	// --- members, time, end

	private reconcile(): void {
		if (this.desired === undefined || this.raftRole !== 'leader' || this.ended !== undefined) return;
		const change = nextChange(this.desired, this.driver.status());
		if (change !== undefined) this.driver.absorb({ type: 'propose-conf-change', id: 0, change });
		this.needsSweep();
	}

	/** While something is pending, every heartbeat. */
	private needsSweep(): void {
		this.sweepTimer ??= this.clock.after(this.config.heartbeatMs, () => {
			this.sweepTimer = undefined;
			this.proposals.sweep();
			this.reads.sweep();
			this.reconcile();
			if (this.proposals.count > 0 || this.reads.count > 0) this.needsSweep();
		});
	}

	private failed(error: MeshError): void {
		this.end(error);
		this.emit({ type: 'failed', error });
	}

	private end(error: MeshError): void {
		if (this.ended !== undefined) return;
		this.ended = error;
		this.sweepTimer?.[Symbol.dispose]();
		this.raftRole = 'follower';
		this.leader = NONE;
		this.proposals.failAll(error);
		this.reads.failAll(error);
		for (const wake of [...this.watchers]) wake();
	}

	private refuseIfEnded(): void {
		if (this.ended !== undefined) throw this.ended;
	}

	private emit(event: GroupEvent): void {
		for (const listener of [...this.listeners]) listener(event);
	}
}
