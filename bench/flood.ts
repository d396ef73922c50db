/**
 * Twenty rogue peers against a mesh of three hosts: ten without a certificate, which hammer handshakes, and ten with a
 * valid one, which flood gossip, GRAFT and PRUNE, RPC hellos, tenders and oversize messages. Measures what honest hosts
 * notice: tender → award before and during the flood, memory, and how long the event loop is held up. All three hosts run
 * in this process, so its figures are of three hosts together; rogues run in others, at lowest priority, for theirs would
 * be other machines' processors.
 * Usage: npm run bench -- flood [--seconds 15] [--rogues strangers,strangers,members,members]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createNodeKeys } from '@beemesh/sdk/identity';
import { encodeRecord, type PeerId } from '@beemesh/sdk/wire';
import { openGossip, sealGossip } from '../hostd/src/mesh/gossip-seal.ts';
import { introductionOf } from '../hostd/src/mesh/hello.ts';
import { systemClock } from '../hostd/src/mesh/index.ts';
import { topicsOf } from '../hostd/src/mesh/node.ts';
import { machineSessionIdentity } from '../hostd/src/mesh/session-identity.ts';
import { startHost, whenHosts } from '../hostd/src/mesh/test/host.ts';
import { type Rogue, startRogue } from '../hostd/src/mesh/test/rogue.ts';
import { createTestRoot } from '../hostd/src/mesh/test/root.ts';
import { createTenderGate } from '../hostd/src/scheduler/gate.ts';
import { type SchedulerHost, startScheduler } from '../hostd/src/scheduler/test/cluster.ts';
import { createWorkload } from '../hostd/src/scheduler/test/workload.ts';
import { createLibp2pNode } from '../sdk/src/streams/libp2p/index.ts';

const ROGUES_PER_PROCESS = 5;
const LOWEST_PRIORITY = 19;
/** Between placements. */
const PAUSE_MS = 100;
/** After the flood, for connections to be gone. */
const SETTLE_MS = 6_000;
const RPC_PROTOCOL = '/beemesh/m/rpc/1';

interface Target {
	readonly peer: PeerId;
	readonly addresses: readonly string[];
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

const { values: options, positionals } = parseArgs({
	options: {
		seconds: { type: 'string', default: '15' },
		rogues: { type: 'string', default: 'strangers,strangers,members,members' },
		targets: { type: 'string' },
	},
	allowPositionals: true,
});
if (options.targets === undefined) await measure(Number(options.seconds) * 1_000);
else await flood(positionals[0] ?? '', JSON.parse(options.targets) as readonly Target[]);

async function measure(phaseMs: number): Promise<void> {
	const hosts: SchedulerHost[] = [];
	let join: readonly string[] = [];
	for (const name of ['one', 'two', 'three']) {
		const { node } = await startHost({ name, join });
		if (join.length === 0) join = [node.addresses()[0] as string];
		hosts.push(startScheduler(node));
	}
	await Promise.all(hosts.map(({ mesh }) => whenHosts(mesh, (present) => present.length === 3)));
	await place(hosts, 2_000);
	collect();
	const before = process.memoryUsage();

	const quiet = await phase(hosts, phaseMs);
	const targets = hosts.map(({ machineId, mesh }) => ({ peer: machineId, addresses: mesh.addresses() }));
	const rogues: ChildProcess[] = [];
	for (const kind of options.rogues.split(',')) {
		const args = ['--conditions=source', fileURLToPath(import.meta.url), kind, '--targets', JSON.stringify(targets)];
		const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
		if (child.pid !== undefined) setPriority(child.pid, LOWEST_PRIORITY);
		child.once('exit', (code) => code === null || code === 0 || process.exit(1));
		rogues.push(child);
	}
	await Promise.all(rogues.map(({ stdout }) => once(createInterface(stdout as NodeJS.ReadableStream), 'line')));
	for (const { stdin } of rogues) stdin?.write('go\n');
	// The flood's beginning is part of it.
	const flooded = await phase(hosts, phaseMs);
	const reports = rogues.map(({ stdout }) => once(createInterface(stdout as NodeJS.ReadableStream), 'line'));
	for (const { stdin } of rogues) stdin?.end();
	const done = (await Promise.all(reports)).map(([line]) => JSON.parse(String(line)) as Record<string, number>);
	const present = hosts.map(({ mesh }) => mesh.hosts().length);
	for (const child of rogues) child.kill();

	await sleep(SETTLE_MS);
	collect();
	const settled = process.memoryUsage();
	const attacks: Record<string, number> = {};
	for (const report of done)
		for (const [what, count] of Object.entries(report)) attacks[what] = (attacks[what] ?? 0) + count;
	const junk = junkCost();
	const result = {
		bench: 'flood',
		quiet,
		flooded,
		p99Ratio: round(flooded.p99Ms / quiet.p99Ms),
		rssGrowthMiB: round(flooded.rssMaxMiB - quiet.rssMaxMiB),
		rssGrowthPerHostMiB: round((flooded.rssMaxMiB - quiet.rssMaxMiB) / hosts.length),
		heapKeptMiB: round((settled.heapUsed - before.heapUsed) / 2 ** 20),
		rssKeptMiB: round((settled.rss - before.rss) / 2 ** 20),
		externalKeptMiB: round((settled.external - before.external) / 2 ** 20),
		present,
		attacks,
		junkRejectP99Ms: junk,
	};
	process.stdout.write(`${JSON.stringify(result)}\n`);
	process.exit(0);
}

/** One slot of a new workload from each host in turn. */
async function place(hosts: readonly SchedulerHost[], forMs: number): Promise<number[]> {
	const tookMs: number[] = [];
	const untilMs = performance.now() + forMs;
	for (let i = 0; performance.now() < untilMs; i++) {
		const host = hosts[i % hosts.length] as SchedulerHost;
		const workload = createWorkload(`load-${i}`);
		const request = workload.request(host.machineId, 1);
		const startMs = performance.now();
		for await (const event of host.scheduler.place(request, AbortSignal.timeout(20_000))) {
			if (event.type !== 'awarded') continue;
			tookMs.push(performance.now() - startMs);
			break;
		}
		await sleep(PAUSE_MS);
	}
	return tookMs;
}

async function phase(hosts: readonly SchedulerHost[], forMs: number) {
	const lag = monitorEventLoopDelay({ resolution: 5 });
	let rssMax = 0;
	const watch = setInterval(() => {
		rssMax = Math.max(rssMax, process.memoryUsage().rss);
	}, 200);
	const startMs = performance.now();
	const cpu = process.cpuUsage();
	lag.enable();
	const tookMs = (await place(hosts, forMs)).sort((a, b) => a - b);
	lag.disable();
	clearInterval(watch);
	const seconds = (performance.now() - startMs) / 1_000;
	const { user, system } = process.cpuUsage(cpu);
	const at = (share: number): number =>
		round(tookMs[Math.min(tookMs.length - 1, Math.ceil(tookMs.length * share) - 1)] ?? Number.NaN);
	return {
		placed: tookMs.length,
		p50Ms: at(0.5),
		p99Ms: at(0.99),
		loopLagP99Ms: round(lag.percentile(99) / 1e6),
		rssMaxMiB: round(rssMax / 2 ** 20),
		cpuCores: round((user + system) / 1e6 / seconds),
		seconds: round(seconds),
	};
}

/** What a message costs that is rejected before any signature is checked. */
function junkCost(): number {
	const root = createTestRoot();
	const membership = root.enrol(createNodeKeys());
	const [topic = ''] = topicsOf(membership.meshId, []);
	const gate = createTenderGate({ startedAtMs: 0 });
	const workload = createWorkload();
	const old = workload.sign({ ...workload.tender(membership.machineId, [{ slot: 0, gen: 1 }]), ts: 1, exp: 2 });
	const list = encodeRecord(new Array(4_000).fill(0));
	const sealed = [new Uint8Array(60_000), list, old, old.subarray(0, 3_000)].map((data) =>
		sealGossip(membership, topic, data),
	);
	const messages = [new Uint8Array(randomBytes(60_000)), ...sealed];
	const tookMs: number[] = [];
	for (let i = 0; i < 8_000; i++) {
		const message = messages[i % messages.length] as Uint8Array;
		const startMs = performance.now();
		const opened = openGossip(membership, topic, message);
		if ('data' in opened) gate.admit(opened.data, undefined, Date.now());
		if (i > 2_000) tookMs.push(performance.now() - startMs);
	}
	tookMs.sort((a, b) => a - b);
	return round(tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN);
}

async function flood(kind: string, targets: readonly Target[]): Promise<void> {
	const counts: Record<string, number> = {};
	const count = (what: string): void => {
		counts[what] = (counts[what] ?? 0) + 1;
	};
	const stops = new AbortController();
	const lines = createInterface(process.stdin);
	lines.on('close', () => stops.abort());
	const rogues = Array.from({ length: ROGUES_PER_PROCESS }, () =>
		kind === 'strangers' ? stranger(targets, count, stops.signal) : member(targets, count, stops.signal),
	);
	const ready = await Promise.all(rogues);
	process.stdout.write('ready\n');
	await once(lines, 'line');
	await Promise.all(ready.map((attack) => attack()));
	process.stdout.write(`${JSON.stringify(counts)}\n`);
}

/** A peer with a certificate of another mesh: it can only begin handshakes, as many as it likes. */
async function stranger(targets: readonly Target[], count: (what: string) => void, stops: AbortSignal) {
	const membership = createTestRoot(`mesh-${randomBytes(4).toString('hex')}`).enrol(createNodeKeys());
	const { transport } = await createLibp2pNode({
		session: machineSessionIdentity(membership, systemClock),
		seed: membership.keys.peer.seed,
		listen: [],
	});
	const hammer = async ({ peer, addresses }: Target): Promise<void> => {
		while (!stops.aborted) {
			await transport.dial(peer, RPC_PROTOCOL, { addresses, signal: stops }).then(
				() => count('strangersLetIn'),
				() => count('handshakesRefused'),
			);
			await turn();
		}
	};
	return async () => void (await Promise.all(targets.flatMap((target) => [hammer(target), hammer(target)])));
}

/** A peer with a certificate of this mesh that does everything which one can. */
async function member(targets: readonly Target[], count: (what: string) => void, stops: AbortSignal) {
	const rogue = await startRogue();
	const topics = topicsOf(rogue.membership.meshId, ['root']);
	const workloads = Array.from({ length: 20 }, (_, i) => createWorkload(`rogue-${i}`));
	return async (): Promise<void> => {
		await Promise.all(targets.map((target) => attack(rogue, target)));
	};

	async function attack(one: Rogue, { peer, addresses }: Target): Promise<void> {
		for (let i = 0; !stops.aborted; i++) {
			const isIn = one.router.streamsOutbound.has(peer);
			if (!isIn) {
				// Expelled, or not in yet.
				const signal = AbortSignal.any([stops, AbortSignal.timeout(2_000)]);
				await Promise.race([one.reach(peer, addresses).then(() => count('membersLetIn')), once(signal, 'abort')]).catch(
					() => count('membersRefused'),
				);
				await sleep(20);
				continue;
			}
			count(flooding(one, peer, topics, workloads, i));
			if (i % 50 === 0) {
				const hello = one.transport.dial(peer, RPC_PROTOCOL, { addresses, signal: stops });
				await hello.then((stream) => stream.write(new Uint8Array(randomBytes(1_000)))).catch(() => undefined);
				count('rpcHellos');
			}
			if (i % 10 === 0) await turn();
		}
	}
}

function flooding(
	{ send, membership }: Rogue,
	peer: string,
	topics: readonly string[],
	workloads: readonly ReturnType<typeof createWorkload>[],
	i: number,
): string {
	const topic = topics[i % topics.length] as string;
	switch (i % 6) {
		case 0:
			send(peer, { messages: [{ topic, data: new Uint8Array(randomBytes(1_000)) }] });
			return 'junkMessages';
		case 1:
			send(peer, { control: { prune: [{ topicID: topic, peers: [] }], graft: [{ topicID: topic }] } });
			return 'graftsAndPrunes';
		case 2: {
			const messageIDs = Array.from({ length: 200 }, () => new Uint8Array(randomBytes(20)));
			send(peer, { control: { ihave: [{ topicID: topic, messageIDs }], iwant: [{ messageIDs }] } });
			return 'announcements';
		}
		case 3: {
			send(peer, { messages: [{ topic, data: new Uint8Array(i % 60 === 3 ? 3 * 1024 * 1024 : 100_000) }] });
			return 'oversizeMessages';
		}
		case 4: {
			const workload = workloads[i % workloads.length] as ReturnType<typeof createWorkload>;
			const tender = workload.sign(workload.tender(membership.machineId, [{ slot: 0, gen: 1 }]));
			send(peer, {
				messages: [{ topic: topics[1] as string, data: sealGossip(membership, topics[1] as string, tender) }],
			});
			return 'tenders';
		}
		default: {
			const forged = introductionOf(new Uint8Array(randomBytes(3_000)), membership.credential);
			send(peer, {
				messages: [{ topic: topics[0] as string, data: sealGossip(membership, topics[0] as string, forged) }],
			});
			return 'forgedPresences';
		}
	}
}

function round(value: number): number {
	return Math.round(value * 1_000) / 1_000;
}
