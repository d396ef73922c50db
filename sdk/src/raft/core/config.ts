/**
 * What a Raft node is told when it starts: who it is, what its disk held, and its limits. Defaults suit a local
 * network; relations between settings are checked here and nowhere else.
 */
import { MeshError } from '../../errors.ts';
import type { ConfState, Entry, HardState, MemberId, SnapshotMeta } from './types.ts';
import { NONE } from './types.ts';

export interface RaftOptions {
	/** This member's id: given once and never reused, not even by the same machine after losing its disk. */
	readonly id: MemberId;
	/** Uniform in [0, 1). Draws election timeouts (Raft §5.2) and this run's nonce for forwarded reads. */
	readonly random: () => number;
	/** The time at start; the first election timeout counts from here. */
	readonly nowMs: number;
	/** What the disk held. A brand-new member that will be added by others starts with none of these. */
	readonly hardState?: HardState;
	/** What the log starts after. @default nothing: index 0, no members */
	readonly snapshot?: SnapshotMeta;
	/** All entries after the snapshot, contiguous. */
	readonly entries?: readonly Entry[];
	/**
	 * How far the driver's state machine already is. The node hands out later entries (again). @default snapshot.index
	 */
	readonly appliedIndex?: number;
	/** Membership as of `appliedIndex`: needed exactly when that is beyond the snapshot. @default snapshot.confState */
	readonly confState?: ConfState;
	/**
	 * Shortest election timeout; the one in force is drawn from [this, twice this). Also how long a follower sticks to
	 * its leader, how often a leader checks for its quorum, and how long a hand-over may take. @default 1000
	 */
	readonly electionTimeoutMs?: number;
	/** @default a tenth of electionTimeoutMs */
	readonly heartbeatMs?: number;
	/** Bytes of entries in one append message; one entry always fits. @default 1 MiB */
	readonly messageBytesMax?: number;
	/** Bytes of committed entries handed out and not yet applied; one entry always fits. @default 4 MiB */
	readonly applyingBytesMax?: number;
	/** Bytes of proposals not yet committed: beyond it proposals are refused (`quota`). @default 16 MiB */
	readonly uncommittedBytesMax?: number;
	/** Append messages under way to one follower. @default 256 */
	readonly inflightMessagesMax?: number;
	/** Bytes under way to one follower. @default 8 MiB */
	readonly inflightBytesMax?: number;
	/** Ask before campaigning (thesis §9.6). Off only to reproduce plain Raft in tests. @default true */
	readonly preVote?: boolean;
	/** A leader without a quorum steps down (thesis §6.2); off only in tests. @default true */
	readonly checkQuorum?: boolean;
	/** A leader that is removed or demoted steps down at once; off only in tests. @default true */
	readonly stepDownOnRemoval?: boolean;
	/** Persistence is reported later by `persisted`, so only durable entries are applied; off only in tests. @default true */
	readonly asyncStorageWrites?: boolean;
	/** Followers pass proposals on inside Raft instead of refusing them. @default false: drivers forward */
	readonly forwardProposals?: boolean;
	/** Membership changes are checked against the one under way; off only in tests. @default true */
	readonly validateConfChanges?: boolean;
	/** Voters who reject tell what is committed; off only to reproduce others' transcripts. @default true */
	readonly sharesCommitInVotes?: boolean;
	/** A snapshot whose members do not include this node is installed all the same; off only to reproduce others' transcripts. @default true */
	readonly restoresForeignSnapshots?: boolean;
	/** What an entry counts against the limits in bytes. @default its payload plus 16 */
	readonly entryBytes?: (entry: Entry) => number;
}

export type RaftConfig = { readonly [K in keyof RaftOptions]-?: Exclude<RaftOptions[K], undefined> };

export const EMPTY_CONF_STATE: ConfState = Object.freeze({
	voters: [],
	votersOutgoing: [],
	learners: [],
	learnersNext: [],
	autoLeave: false,
});

const ENTRY_OVERHEAD_BYTES = 16;

function refuse(message: string): never {
	throw new MeshError('invalid_input', `Raft options: ${message}`);
}

/** Fills in defaults and checks relations. Errors: `invalid_input` that names both values that clash. */
export function resolveRaftConfig(options: RaftOptions): RaftConfig {
	const electionTimeoutMs = options.electionTimeoutMs ?? 1000;
	const snapshot = options.snapshot ?? { index: 0, term: 0, confState: EMPTY_CONF_STATE };
	const messageBytesMax = options.messageBytesMax ?? 1 << 20;
	const config: RaftConfig = {
		id: options.id,
		random: options.random,
		nowMs: options.nowMs,
		hardState: options.hardState ?? { term: 0, vote: NONE, commit: 0 },
		snapshot,
		entries: options.entries ?? [],
		appliedIndex: options.appliedIndex ?? snapshot.index,
		confState: options.confState ?? snapshot.confState,
		electionTimeoutMs,
		heartbeatMs: options.heartbeatMs ?? electionTimeoutMs / 10,
		messageBytesMax,
		applyingBytesMax: options.applyingBytesMax ?? 4 << 20,
		uncommittedBytesMax: options.uncommittedBytesMax ?? 16 << 20,
		inflightMessagesMax: options.inflightMessagesMax ?? 256,
		inflightBytesMax: options.inflightBytesMax ?? Math.max(8 << 20, messageBytesMax),
		preVote: options.preVote ?? true,
		checkQuorum: options.checkQuorum ?? true,
		stepDownOnRemoval: options.stepDownOnRemoval ?? true,
		asyncStorageWrites: options.asyncStorageWrites ?? true,
		forwardProposals: options.forwardProposals ?? false,
		validateConfChanges: options.validateConfChanges ?? true,
		sharesCommitInVotes: options.sharesCommitInVotes ?? true,
		restoresForeignSnapshots: options.restoresForeignSnapshots ?? true,
		entryBytes: options.entryBytes ?? ((entry) => entry.data.byteLength + ENTRY_OVERHEAD_BYTES),
	};
	check(config);
	checkMembers(config, options.confState !== undefined);
	return Object.freeze(config);
}

function check(config: RaftConfig): void {
	const { id, hardState, snapshot, entries, appliedIndex } = config;
	if (!Number.isSafeInteger(id) || id <= NONE) refuse(`id must be a positive integer, got ${id}`);
	if (!(config.heartbeatMs > 0)) refuse(`heartbeatMs must be positive, got ${config.heartbeatMs}`);
	if (config.heartbeatMs >= config.electionTimeoutMs) {
		refuse(`heartbeatMs (${config.heartbeatMs}) must be less than electionTimeoutMs (${config.electionTimeoutMs})`);
	}
	if (config.inflightMessagesMax < 1)
		refuse(`inflightMessagesMax must be at least 1, got ${config.inflightMessagesMax}`);
	if (config.inflightBytesMax < config.messageBytesMax) {
		refuse(
			`inflightBytesMax (${config.inflightBytesMax}) must not be below messageBytesMax (${config.messageBytesMax})`,
		);
	}
	entries.forEach((entry, i) => {
		if (entry.index === snapshot.index + 1 + i) return;
		refuse(`entries must continue the snapshot at ${snapshot.index} without a gap, found index ${entry.index}`);
	});
	const lastIndex = snapshot.index + entries.length;
	// A commit index beyond the log means that the log lost entries others count on: starting would vote with a lie.
	if (hardState.commit > lastIndex) {
		throw new MeshError(
			'corrupt',
			`The log ends at ${lastIndex}, before its commit index ${hardState.commit}: rejoin as a new member`,
		);
	}
	const commit = Math.max(hardState.commit, snapshot.index);
	if (appliedIndex < snapshot.index || appliedIndex > commit) {
		refuse(`appliedIndex (${appliedIndex}) must lie between snapshot (${snapshot.index}) and commit index (${commit})`);
	}
}

/** Changes after `appliedIndex` are applied to these members: from any other base, or twice, they would mean others. */
function checkMembers({ snapshot, appliedIndex, confState }: RaftConfig, isGiven: boolean): void {
	// Members who are in nobody's log stay unknown to whoever joins later and replays it (see bootstrapLog).
	if (appliedIndex === 0 && confState.voters.length > 0) {
		refuse('confState at appliedIndex 0 cannot be seen by later members; start the first members from bootstrapLog()');
	}
	if (appliedIndex > snapshot.index && !isGiven) {
		refuse(
			`confState is missing: the members at ${appliedIndex} may not be those of the snapshot at ${snapshot.index}`,
		);
	}
	if (appliedIndex === snapshot.index && !hasSameMembers(confState, snapshot.confState)) {
		refuse(`confState is not that of the snapshot at ${snapshot.index}, after which nothing is applied`);
	}
}

function hasSameMembers(a: ConfState, b: ConfState): boolean {
	const lists = (c: ConfState) => [c.voters, c.votersOutgoing, c.learners, c.learnersNext];
	return a.autoLeave === b.autoLeave && JSON.stringify(lists(a)) === JSON.stringify(lists(b));
}
