/**
 * Acknowledged proposals per second of one group: three members in this process, each with its own log on a real
 * disk, an `fdatasync` before every acknowledgement, sessions on, 128-byte commands. The members talk through
 * memory, so this is the cost of Raft, storage and group, not of a network. Ends with one JSON line.
 *
 * Beside it, measured in the same run: the log alone on the same disk, which is what no group can beat.
 *
 *     node --conditions=source bench/raft.ts [--seconds 2] [--dir DIR]
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Group, type GroupLink, type LogStore, type Machine, openFileLog, openGroup } from '@beemesh/sdk/raft';
import type { StandardSchemaV1 } from '@standard-schema/spec';

const CLIENTS = [1, 16, 64, 256];
const COMMAND_BYTES = 128;
const MEMBERS = [1, 2, 3];

type Receiver = (from: number, bytes: Uint8Array) => void;

/** Hands bytes over on the next turn of the event loop, copied, as a socket would. */
function memoryLinks(): (self: number) => GroupLink {
	const receivers = new Map<number, Receiver>();
	return (self) => ({
		send(to, bytes) {
			const copy = Uint8Array.prototype.slice.call(bytes);
			setImmediate(() => receivers.get(to)?.(self, copy));
			return receivers.has(to);
		},
		onMessage(listener) {
			receivers.set(self, listener);
			return { [Symbol.dispose]: () => void receivers.delete(self) };
		},
		onLost: () => ({ [Symbol.dispose]: () => {} }),
	});
}

const anyBytes: StandardSchemaV1<Uint8Array> = {
	'~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value: value as Uint8Array }) },
};
const counting: Machine<{ count: number }, typeof anyBytes, number> = {
	command: anyBytes,
	init: () => ({ count: 0 }),
	apply: (state) => ++state.count,
	snapshot: ({ count }) => Buffer.from(String(count)),
	restore: async (bytes) => {
		let text = '';
		for await (const part of bytes) text += Buffer.from(part).toString();
		return { count: Number(text) };
	},
};

interface Row {
	readonly clients: number;
	readonly perSecond: number;
	readonly p50Ms: number;
	readonly p99Ms: number;
	readonly syncsPerSecond: number;
}

async function measure(
	clients: number,
	seconds: number,
	stores: readonly LogStore[],
	call: () => Promise<unknown>,
): Promise<Row> {
	const tookMs: number[] = [];
	const syncs = (): number => stores.reduce((sum, { stats }) => sum + stats.syncs, 0);
	const syncsBefore = syncs();
	const startMs = performance.now();
	const endMs = startMs + seconds * 1000;
	const client = async (): Promise<void> => {
		for (let nowMs = performance.now(); nowMs < endMs; ) {
			await call();
			const doneMs = performance.now();
			tookMs.push(doneMs - nowMs);
			nowMs = doneMs;
		}
	};
	await Promise.all(Array.from({ length: clients }, client));
	const tookSeconds = (performance.now() - startMs) / 1000;
	tookMs.sort((a, b) => a - b);
	const at = (share: number): number =>
		round(tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))] ?? 0);
	return {
		clients,
		perSecond: Math.round(tookMs.length / tookSeconds),
		p50Ms: at(0.5),
		p99Ms: at(0.99),
		syncsPerSecond: Math.round((syncs() - syncsBefore) / tookSeconds),
	};
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;

function print(what: string, { clients, perSecond, p50Ms, p99Ms, syncsPerSecond }: Row): void {
	const columns = [
		`${clients} clients`,
		`${perSecond}/s`,
		`p50 ${p50Ms} ms`,
		`p99 ${p99Ms} ms`,
		`${syncsPerSecond} syncs/s`,
	];
	console.log(what.padEnd(8), ...columns.map((column) => column.padStart(16)));
}

async function benchLog(directory: string, seconds: number): Promise<Row[]> {
	await using store = openFileLog({ directory });
	await store.recover();
	const data = new Uint8Array(COMMAND_BYTES);
	let index = 0;
	const rows: Row[] = [];
	for (const clients of CLIENTS) {
		const call = (): Promise<void> => store.append({ entries: [{ index: ++index, term: 1, type: 'normal', data }] });
		rows.push(await measure(clients, seconds, [store], call));
		print('log', rows.at(-1) as Row);
	}
	return rows;
}

async function benchGroup(directory: string, seconds: number): Promise<{ proposals: Row[]; reads: Row[] }> {
	const link = memoryLinks();
	const stores = MEMBERS.map((id) => openFileLog({ directory: join(directory, String(id)) }));
	const bootstrap = MEMBERS.map((id) => ({ id, context: new Uint8Array(0) }));
	const groups: Group<{ count: number }, Uint8Array, number>[] = [];
	for (const [i, selfId] of MEMBERS.entries()) {
		const store = stores[i] as LogStore;
		groups.push(await openGroup({ name: 'bench', selfId, bootstrap, store, link: link(selfId), machine: counting }));
	}
	const command = new Uint8Array(COMMAND_BYTES);
	await groups[0]?.propose(command);
	const leader = groups.find(({ role }) => role === 'leader');
	if (leader === undefined) throw new Error('no leader was elected');
	const proposals: Row[] = [];
	const reads: Row[] = [];
	for (const clients of CLIENTS) {
		proposals.push(await measure(clients, seconds, stores, () => leader.propose(command)));
		print('propose', proposals.at(-1) as Row);
	}
	for (const clients of CLIENTS) {
		reads.push(await measure(clients, seconds, stores, () => leader.read(({ count }) => count)));
		print('read', reads.at(-1) as Row);
	}
	for (const group of groups) await group[Symbol.asyncDispose]();
	return { proposals, reads };
}

const { values } = parseArgs({
	options: { seconds: { type: 'string', default: '2' }, dir: { type: 'string', default: tmpdir() } },
});
const seconds = Number(values.seconds);
const directory = await mkdtemp(join(values.dir, 'bench-raft-'));
// Raft's own timers do not keep a process alive.
const alive = setInterval(() => {}, 1 << 30);
try {
	const machine = `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`;
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
	console.log(
		`${machine}, node ${process.version}, commit ${commit}, ${COMMAND_BYTES}-byte commands, ${seconds} s each`,
	);
	const log = await benchLog(join(directory, 'log'), seconds);
	const { proposals, reads } = await benchGroup(directory, seconds);
	console.log(JSON.stringify({ bench: 'raft', machine, commit, seconds, log, proposals, reads }));
} finally {
	clearInterval(alive);
	await rm(directory, { recursive: true });
}
