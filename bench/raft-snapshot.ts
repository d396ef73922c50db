/**
 * A member that was away gets a large state as a snapshot while writes go on: how long it takes, and what is left of
 * the writes. Three members in this process, logs and snapshots on a real disk, 64 writers, a replicated map. Ends
 * with one JSON line.
 *
 *     node --conditions=source bench/raft-snapshot.ts [--mib 256] [--seconds 3] [--dir DIR]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type GroupLink, type KvGroup, kvMachine, openFileLog, openGroup } from '@beemesh/sdk/raft';

const WRITERS = 64;
const VALUE_BYTES = 64 * 1024;
const MEMBERS = [1, 2, 3];
const MIB = 1024 * 1024;

const { values } = parseArgs({
	options: {
		mib: { type: 'string', default: '256' },
		seconds: { type: 'string', default: '3' },
		dir: { type: 'string', default: tmpdir() },
	},
});

const receivers = new Map<number, (from: number, bytes: Uint8Array) => void>();
let away = 0;

function link(self: number): GroupLink {
	return {
		send(to, bytes) {
			if (to === away || self === away) return false;
			const copy = Uint8Array.prototype.slice.call(bytes);
			setImmediate(() => receivers.get(to)?.(self, copy));
			return receivers.has(to);
		},
		onMessage(listener) {
			receivers.set(self, listener);
			return { [Symbol.dispose]: () => void receivers.delete(self) };
		},
		onLost: () => ({ [Symbol.dispose]: () => {} }),
	};
}

const root = await mkdtemp(join(values.dir, 'raft-snapshot-bench-'));
const open = (id: number): Promise<KvGroup> =>
	openGroup({
		name: 'bench',
		selfId: id,
		bootstrap: MEMBERS.map((member) => ({ id: member, context: new Uint8Array(0) })),
		store: openFileLog({ directory: join(root, String(id)) }),
		link: link(id),
		machine: kvMachine({ countMax: 100, bytesMax: MIB }),
	});
const groups = await Promise.all(MEMBERS.map(open));

async function leader(): Promise<KvGroup> {
	for (;;) {
		const found = groups.find(({ role }) => role === 'leader');
		if (found !== undefined) return found;
		await turn();
	}
}

/** Small writes until told to stop; how many a second were acknowledged. */
async function writesUntil(stop: Promise<unknown>): Promise<number> {
	let isOver = false;
	void stop.then(() => {
		isOver = true;
	});
	const group = await leader();
	const startMs = performance.now();
	let done = 0;
	const writer = async (n: number): Promise<void> => {
		while (!isOver) {
			await group.propose({ op: 'put', key: `small/${n}`, value: new Uint8Array(128) });
			done++;
		}
	};
	await Promise.all(Array.from({ length: WRITERS }, (_, n) => writer(n)));
	return Math.round(done / ((performance.now() - startMs) / 1000));
}

const first = await leader();
away = MEMBERS.find((id) => id !== first.selfId) ?? 0;
const late = groups.find(({ selfId }) => selfId === away) as KvGroup;
const count = Math.ceil((Number(values.mib) * MIB) / VALUE_BYTES);
for (let i = 0; i < count; i += 16) {
	const put = (n: number): Promise<unknown> =>
		first.propose({ op: 'put', key: `large/${n}`, value: new Uint8Array(VALUE_BYTES).fill(n) });
	await Promise.all(Array.from({ length: Math.min(16, count - i) }, (_, n) => put(i + n)));
}
await delay(1000);
const before = await writesUntil(delay(Number(values.seconds) * 1000));
const index = first.appliedIndex;
const startMs = performance.now();
const caughtUp = (async () => {
	away = 0;
	while (late.appliedIndex < index) await delay(5);
})();
const during = await writesUntil(caughtUp);
const catchUpMs = Math.round(performance.now() - startMs);
while (late.appliedIndex < first.appliedIndex) await delay(5);
const settledMs = Math.round(performance.now() - startMs);
const isWhole = (await late.read(({ entries }) => entries.size, { level: 'stale' })) === count + WRITERS;
for (const group of groups) await group[Symbol.asyncDispose]();
await rm(root, { recursive: true });
console.log(
	JSON.stringify({
		what: 'raft-snapshot',
		stateMib: Number(values.mib),
		writesPerSecondBefore: before,
		writesPerSecondDuring: during,
		catchUpMs,
		settledMs,
		isWhole,
	}),
);
process.exit(isWhole ? 0 : 1);
