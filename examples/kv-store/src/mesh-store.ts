/** The store on the SDK's Raft group: writes are proposals, reads ask the leader unless they may be stale. */
import { fail, type Group, isMeshError, type Workplane } from '@beemesh/sdk';
import {
	applyCommand,
	type Command,
	type CommandResult,
	changesSince,
	commandSchema,
	emptyState,
	type KvState,
	pageOf,
	readSnapshot,
	writeSnapshot,
} from './kv-machine.ts';
import type { Change, Store } from './store.ts';
