/** The store on the SDK's Raft group: writes are proposals, reads ask the leader unless they may be stale. */
import { fail, type Group, type Workplane } from '@beemesh/sdk';
import { raftMemberId, slotOfMember } from '@beemesh/sdk/wire';
import {
	applyCommand,
	type CommandResult,
	changesSince,
	commandSchema,
	emptyState,
	type KvCommand,
	type KvState,
	pageOf,
	readSnapshot,
	writeSnapshot,
} from './kv-machine.ts';
import type { Change, ReadOptions, Status, Store } from './store.ts';

type KvGroup = Group<KvState, KvCommand, CommandResult>;

export async function meshStore(wp: Workplane): Promise<Store> {
	const group: KvGroup = await wp.group('kv', {
		command: commandSchema,
		init: emptyState,
		apply: applyCommand,
		snapshot: writeSnapshot,
		restore: readSnapshot,
	});
	return {
		get: (key, options) => group.read(({ entries }) => entries.get(key), levelOf(options)),
		async put(key, value, { ifRev } = {}) {
			const result = await group.propose({ op: 'put', key, value, ...(ifRev === undefined ? {} : { ifRev }) });
			return result.type === 'conflict' ? conflict(key, result.rev) : result.rev;
		},
		async delete(key, { ifRev } = {}) {
			const result = await group.propose({ op: 'delete', key, ...(ifRev === undefined ? {} : { ifRev }) });
			if (result.type === 'conflict') return conflict(key, result.rev);
			// Revision 0: there was nothing to delete.
			return result.rev === 0 ? undefined : result.rev;
		},
		list: (prefix, options) => group.read((state) => pageOf(state, prefix, options), levelOf(options)),
		async watch(prefix, { from, signal }) {
			// "From now on" needs to know what now is: a replica that lags would repeat what was acknowledged long ago.
			const level = from === undefined ? 'linear' : 'stale';
			const start = await group.read((state) => from ?? state.rev + 1, { level, signal });
			await group.read((state) => keptSince(state, start), { level: 'stale', signal });
			return follow(group, prefix, start, signal);
		},
		status: () => statusOf(wp, group),
	};
}

function levelOf({ stale = false }: ReadOptions = {}): { readonly level: 'linear' | 'stale' } {
	return { level: stale ? 'stale' : 'linear' };
}

function conflict(key: string, rev: number): never {
	const now = rev === 0 ? 'does not exist' : `is at revision ${rev}`;
	fail('conflict', `the key '${key}' ${now}, which is not what this write insists on`, { rev });
}

function keptSince(state: Readonly<KvState>, from: number): readonly Change[] {
	const message = `changes since revision ${from} are no longer kept; list the keys, then watch from there`;
	return changesSince(state, from) ?? fail('invalid_input', message, { reason: 'compacted' });
}

async function* follow(group: KvGroup, prefix: string, start: number, signal: AbortSignal): AsyncGenerator<Change> {
	let next = start;
	for await (const { state } of group.changes({ signal })) {
		// Taken at once: while a reader is slow, the state goes on.
		const changes = keptSince(state, next);
		next = Math.max(next, state.rev + 1);
		yield* changes.filter(({ key }) => key.startsWith(prefix));
	}
}

function statusOf(wp: Workplane, group: KvGroup): Status {
	const { workload, peer } = wp.self;
	const replicas = new Map(wp.replicas().map((replica) => [raftMemberId(replica.slot, replica.gen), replica.peer]));
	const nameOf = (id: number): string => `${workload}-${slotOfMember(id).slot}`;
	const members = group.members().map(({ id, kind }) => {
		const replica = id === group.selfId ? peer : replicas.get(id);
		return { id, name: nameOf(id), voter: kind === 'voter', ...(replica === undefined ? {} : { replica }) };
	});
	return {
		self: { id: group.selfId, replica: peer, name: nameOf(group.selfId) },
		role: group.role,
		term: Number(group.term),
		...(group.leaderId === undefined ? {} : { leader: group.leaderId }),
		commitIndex: Number(group.commitIndex),
		hasQuorum: group.hasQuorum,
		members,
	};
}
