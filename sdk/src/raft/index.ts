/**
 * Replicated state: a state machine of the app's on a Raft group of its replicas.
 *
 * Below the group stands a quiet core (`core/`), which decides and does nothing else, and a driver, which does and
 * decides nothing. What the core hands out is performed in this order, and the order is the contract:
 *
 *   1. messages that promise nothing of our disk leave at once: a leader replicates while its own disk writes;
 *   2. term, vote and entries are made durable, together;
 *   3. only then do votes and acknowledgements leave, and only then do we count ourselves: a vote we forget is a
 *      vote we may cast twice, an entry we forget was committed on too few disks;
 *   4. committed entries are applied, in order;
 *   5. callers are answered.
 *
 * A write that finds no room is kept and tried again, and nothing that depends on it is said meanwhile. A sync that
 * fails ends the replica: it is never tried again.
 */
export type { Clock } from './clock.ts';
export { systemClock } from './clock.ts';
export type { GroupConfig, GroupSettings } from './config.ts';
export { resolveGroupConfig } from './config.ts';
export type { ConfState, MemberId, ProgressStatus } from './core/index.ts';
export { openGroup } from './group.ts';
export type {
	Group,
	GroupEvent,
	GroupRole,
	Machine,
	MemberIdentity,
	MemberStatus,
	OpenGroupOptions,
	ReadOptions,
} from './group.types.ts';
export type { Kv, KvGroup, KvItem, KvWatchEvent, WriteOptions } from './kv.ts';
export { openKv } from './kv.ts';
export type { HistoryLimits, KvCommand, KvResult, KvState } from './kv-machine.ts';
export { kvMachine } from './kv-machine.ts';
export type { GroupLink } from './link.ts';
export { LINK_BYTES_MAX } from './link.ts';
export type { FileLogOptions } from './storage/file/file-log.ts';
export { openFileLog } from './storage/file/file-log.ts';
export type { LogBatch, LogStore, RecoveredLog } from './storage/log-store.ts';
export { MemoryMedium, openMemoryLog } from './storage/memory/memory-log.ts';
