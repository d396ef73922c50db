/** What the page shows of the mesh: the replicas of the store, who leads them, and the replicas of this frontend. */
import type { KvStatus } from '@beemesh/example-kv-store/contract';

/** A replica of the store as this frontend sees it. */
export interface StoreReplica {
	/** Its peer ID; absent when only the group still knows of it. */
	readonly replica?: string;
	/** What people call it, such as kv-store-0, when anybody told. */
	readonly name?: string;
	readonly ready: boolean;
	/** Milliseconds to it and back. */
	readonly rttMs?: number;
	/** Absent while it does not answer. */
	readonly status?: KvStatus;
}

/** A replica that the mesh finds; it may not answer. */
export type FoundReplica = StoreReplica & { readonly replica: string };

export interface OwnReplica {
	readonly replica: string;
	readonly ready: boolean;
	/** The one that serves this page. */
	readonly self: boolean;
}

export interface Trouble {
	readonly code: string;
	readonly message: string;
}

export interface Overview {
	readonly store: {
		readonly workload: string;
		readonly replicas: readonly StoreReplica[];
		/** Peer ID of the leader that a majority follows. */
		readonly leader?: string;
		readonly term: number;
		readonly commitIndex: number;
	};
	readonly self: { readonly workload: string; readonly replicas: readonly OwnReplica[] };
	/** Why the store cannot be written to, in words for people. */
	readonly trouble?: Trouble;
}

export function overviewOf(
	store: { readonly workload: string; readonly found: readonly FoundReplica[] },
	self: Overview['self'],
): Overview {
	const answers = store.found.flatMap(({ replica, status }) => (status === undefined ? [] : [{ replica, status }]));
	// A deposed leader may not know it yet: of several, the one of the highest term counts.
	const leader = answers
		.filter(({ status }) => status.role === 'leader' && status.hasQuorum)
		.sort((a, b) => b.status.term - a.status.term)[0];
	const trouble = troubleOf(store.workload, store.found.length, answers.length, leader !== undefined);
	return {
		store: {
			workload: store.workload,
			replicas: withMissing(store.found, (leader ?? answers[0])?.status.members ?? []),
			...(leader === undefined ? {} : { leader: leader.replica }),
			term: Math.max(0, ...answers.map(({ status }) => status.term)),
			commitIndex: Math.max(0, ...answers.map(({ status }) => status.commitIndex)),
		},
		self,
		...(trouble === undefined ? {} : { trouble }),
	};
}

/** A member of the group that cannot be found any more is missed, not forgotten; what was found may not be one yet. */
function withMissing(found: readonly FoundReplica[], members: KvStatus['members']): StoreReplica[] {
	const foundAs = (id: number, replica?: string): boolean =>
		found.some((one) => one.status?.self.id === id || (replica !== undefined && one.replica === replica));
	const missing = members
		.filter(({ id, replica }) => !foundAs(id, replica))
		.map(({ name }) => ({ name, ready: false }));
	const named = found.map((one) => {
		const name = one.status?.self.name ?? members.find(({ replica }) => replica === one.replica)?.name;
		return name === undefined ? one : { ...one, name };
	});
	return [...named, ...missing].sort(byName);
}

function byName(a: StoreReplica, b: StoreReplica): number {
	return (a.name ?? '~').localeCompare(b.name ?? '~', 'en', { numeric: true });
}

function troubleOf(workload: string, found: number, answering: number, led: boolean): Trouble | undefined {
	if (found === 0) return { code: 'no_replicas', message: `No replica of ${workload} can be found. Is it running?` };
	if (answering === 0) return { code: 'unavailable', message: `None of the replicas of ${workload} answers.` };
	if (led) return undefined;
	return {
		code: 'no_quorum',
		message: `${workload} has no leader with a majority: it refuses to write until more of its replicas are back.`,
	};
}
