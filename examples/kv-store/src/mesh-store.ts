/** The store on the SDK's replicated map: writes are Raft proposals, reads ask the leader unless they may be stale. */
import { fail, type GroupOptions, type Kv, type Workplane } from '@beemesh/sdk';
import { raftMemberId, slotOfMember } from '@beemesh/sdk/wire';
import { bytesSchema } from './contract.ts';
import { LIMITS } from './limits.ts';
import type { Change, Entry, Page, ReadOptions, Status, Store } from './store.ts';

type BytesKv = Kv<Uint8Array, Uint8Array>;

export async function meshStore(wp: Workplane, settings: GroupOptions['settings'] = {}): Promise<Store> {
	const kv: BytesKv = await wp.kv('kv', bytesSchema, { settings });
	return {
		async get(key, options) {
			const found = await kv.get(key, levelOf(options));
			return found && { key, value: found.value, rev: Number(found.rev) };
		},
		async put(key, value, { ifRev } = {}) {
			return Number(await kv.put(key, value, ifRev === undefined ? {} : { ifRev: BigInt(ifRev) }));
		},
		async delete(key, { ifRev } = {}) {
			// One level below `kv.delete`, which does not tell the revision.
			const { rev } = await kv.group.propose({ op: 'delete', key, ...(ifRev === undefined ? {} : { ifRev }) });
			return rev;
		},
		list: (prefix, options) => page(kv, prefix, options),
		async watch(prefix, { from, signal }) {
			// "From now on" needs to know what now is: a replica that lags would repeat what was acknowledged long ago.
			const start = from === undefined ? Number(await kv.revision({ signal })) + 1 : Math.max(1, from);
			const oldest = await kv.group.read(({ history }) => history.oldestRev, { level: 'stale', signal });
			if (start < oldest) fail('not_found', `changes since revision ${start} are no longer kept`, { oldest });
			return follow(kv, prefix, start, signal);
		},
		status: () => statusOf(wp, kv),
	};
}

function levelOf({ stale = false }: ReadOptions = {}): { readonly level: 'linear' | 'stale' } {
	return { level: stale ? 'stale' : 'linear' };
}

async function page(
	kv: BytesKv,
	prefix: string,
	{ after = '', limit, ...options }: ReadOptions & { readonly after?: string; readonly limit: number },
): Promise<Page> {
	const level = levelOf(options);
	// Before the keys: what changes in between is in the page and in the watch after it, instead of in neither.
	const rev = Number(await kv.revision(level));
	const items: Entry[] = [];
	let bytes = 0;
	for await (const { key, value, rev: keyRev } of kv.list(prefix, level)) {
		if (key <= after) continue;
		bytes += value.byteLength;
		const last = items.at(-1);
		const isFull = items.length === limit || bytes > LIMITS.listBytesMax;
		if (isFull && last !== undefined) return { items, rev, next: last.key };
		items.push({ key, value, rev: Number(keyRev) });
	}
	return { items, rev };
}

async function* follow(kv: BytesKv, prefix: string, start: number, signal: AbortSignal): AsyncGenerator<Change> {
	for await (const { key, value, rev } of kv.watch(prefix, { from: BigInt(start), signal })) {
		yield { key, rev: Number(rev), ...(value === undefined ? {} : { value }) };
	}
}

function statusOf(wp: Workplane, { group }: BytesKv): Status {
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
		...(group.isDiskFull ? { diskFull: true } : {}),
		members,
	};
}
