/**
 * Twenty rogue peers against a mesh of three hosts: ten without a certificate, which hammer handshakes, and ten with a
 * valid one, which flood gossip, GRAFT and PRUNE, RPC hellos, tenders and oversize messages. Measures what an honest host
 * notices: tender → award, memory, processor, and how long its event loop is held up.
 *
 * Every host is a process of its own, from a bundle, as hostd is. Rogues are others and run only when the processors are
 * idle (SCHED_IDLE by `chrt`, nice 19 where there is none), for theirs would be other machines'. Quiet and flooded phases
 * alternate, each flood by new rogues from its very beginning, and equal phases are taken together, so that what others do
 * on the machine in the meantime falls on both alike. All come from loopback, which no limit per address counts: from
 * other machines less would get through. Memory is the most of any flood over the most of the first quiet phase.
 * Others that want the processors show in the tails of both: `chrt -r 1 npm run bench -- flood` (as root) keeps them out.
 * Usage: npm run bench -- flood [--rounds 4] [--seconds 10] [--rogues strangers,strangers,members,members|none]
 *   [--host-flags=--cpu-prof,--cpu-prof-dir=DIR]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { PlaceRequest } from '@beemesh/sdk/api';
import { createWorkload } from '../hostd/src/scheduler/test/workload.ts';
import { bundle } from '../scripts/bundle.ts';
import {
	type Child,
	type Figures,
	type Kind,
	startChild,
	type Target,
	type ToHost,
	type ToRogues,
} from './flood/child.ts';
import { junkCost } from './flood/junk.ts';

const NAMES = ['one', 'two', 'three'];
/** Between placements. */
const PAUSE_MS = 100;
const WARM_UP_MS = 4_000;
/** After a flood and after new rogues were made, which belong to neither phase. */
const SETTLE_MS = 2_000;

interface Host extends Child<ToHost> {
	readonly target: Target;
}

interface Phase {
	readonly tookMs: readonly number[];
	/** One of each host. */
	readonly figures: readonly Figures[];
}

const { values: options } = parseArgs({
	options: {
		rounds: { type: 'string', default: '4' },
		seconds: { type: 'string', default: '10' },
		rogues: { type: 'string', default: 'strangers,strangers,members,members' },
		'host-flags': { type: 'string', default: '' },
	},
});
const kinds = options.rogues === 'none' ? [] : (options.rogues.split(',') as Kind[]);
const phaseMs = Number(options.seconds) * 1_000;
const hostFlags = options['host-flags'].split(',').filter((flag) => flag !== '');

const folder = await mkdtemp(join(tmpdir(), 'beemesh-flood-'));
const programs = [join(folder, 'host'), join(folder, 'rogues')] as const;
await bundle(join(import.meta.dirname, 'flood/host.ts'), programs[0]);
await bundle(join(import.meta.dirname, 'flood/rogues.ts'), programs[1]);

const loadBefore = loadavg()[0] ?? 0;
const hosts = await startHosts();
const gangs = kinds.map((kind) => ({ kind, ...startChild<ToRogues>(join(programs[1], 'main.mjs'), [], true) }));
const attacks: Record<string, number> = {};
const [quiet, flooded]: [Phase[], Phase[]] = [[], []];
await place(WARM_UP_MS);
for (let round = 0; round < Number(options.rounds); round++) {
	quiet.push(await phase());
	const targets = hosts.map(({ target }) => target);
	await Promise.all(gangs.map((gang) => gang.ask({ type: 'prepare', kind: gang.kind, targets })));
	await sleep(SETTLE_MS);
	// The flood's beginning is part of it.
	flooded.push(await phase(async () => void (await Promise.all(gangs.map((gang) => gang.ask({ type: 'flood' }))))));
	for (const done of await Promise.all(gangs.map((gang) => gang.ask<Record<string, number>>({ type: 'stop' }))))
		for (const [what, times] of Object.entries(done)) attacks[what] = (attacks[what] ?? 0) + times;
	await sleep(SETTLE_MS);
}
report();
for (const { process: child } of [...hosts, ...gangs]) child.disconnect();
await Promise.all([...hosts, ...gangs].map(({ process: child }) => child.exitCode ?? exited(child)));
await rm(folder, { recursive: true });

function exited(child: Child<ToHost>['process']): Promise<void> {
	return new Promise((resolve) => child.once('exit', () => resolve()));
}

async function startHosts(): Promise<readonly Host[]> {
	const all: Host[] = [];
	for (const name of NAMES) {
		const child = startChild<ToHost>(join(programs[0], 'main.mjs'), hostFlags);
		const known = all[0]?.target.addresses ?? [];
		const target = await child.ask<Target>({ type: 'start', name, join: known, size: NAMES.length });
		all.push({ ...child, target });
	}
	await Promise.all(all.map((host) => host.ask({ type: 'whole' })));
	return all;
}

/** One slot of a new workload from each host in turn. */
async function place(forMs: number): Promise<number[]> {
	const tookMs: number[] = [];
	const untilMs = performance.now() + forMs;
	for (let i = 0; performance.now() < untilMs; i++) {
		const host = hosts[i % hosts.length] as Host;
		const request: PlaceRequest = createWorkload(`load-${i}`).request(host.target.peer, 1);
		tookMs.push(await host.ask<number>({ type: 'place', request }));
		await sleep(PAUSE_MS);
	}
	return tookMs;
}

async function phase(begin: () => Promise<void> = async () => undefined): Promise<Phase> {
	await Promise.all(hosts.map((host) => host.ask({ type: 'watch' })));
	await begin();
	const tookMs = await place(phaseMs);
	return { tookMs, figures: await Promise.all(hosts.map((host) => host.ask<Figures>({ type: 'figures' }))) };
}

function report(): void {
	const [calm, busy] = [latencies(quiet), latencies(flooded)];
	const perHost = NAMES.map((name, i) => {
		const before = quiet.map(({ figures }) => figures[i] as Figures);
		const during = flooded.map(({ figures }) => figures[i] as Figures);
		const rssQuietMiB = before[0]?.rssMaxMiB ?? Number.NaN;
		return {
			name,
			rssGrowthMiB: round(Math.max(...during.map(({ rssMaxMiB }) => rssMaxMiB)) - rssQuietMiB),
			presentMin: Math.min(...during.map(({ present }) => present)),
			quiet: figuresOf(before),
			flooded: figuresOf(during),
		};
	});
	const growth = perHost.map(({ rssGrowthMiB }) => rssGrowthMiB);
	const result = {
		bench: 'flood',
		rounds: Number(options.rounds),
		seconds: phaseMs / 1_000,
		quiet: calm,
		flooded: busy,
		p50Ratio: round(busy.p50Ms / calm.p50Ms),
		p99Ratio: round(busy.p99Ms / calm.p99Ms),
		rssGrowthMaxMiB: round(Math.max(...growth)),
		rssGrowthMedianMiB: round(median(growth)),
		lagP99MaxMs: Math.max(...perHost.map((host) => host.flooded.lagP99Ms)),
		hosts: perHost,
		attacks,
		junkRejectP99Ms: round(junkCost()),
		loadAverages: [loadBefore, loadavg()[0] ?? 0].map(round),
	};
	process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Of one host in all phases of a kind. */
function figuresOf(figures: readonly Figures[]) {
	return {
		rssMiB: figures.map(({ rssMaxMiB }) => Math.round(rssMaxMiB)),
		heapMiB: figures.map(({ heapMiB }) => Math.round(heapMiB)),
		lagP99Ms: round(Math.max(...figures.map(({ lagP99Ms }) => lagP99Ms))),
		lagMaxMs: round(Math.max(...figures.map(({ lagMaxMs }) => lagMaxMs))),
		cpuCores: round(median(figures.map(({ cpuCores }) => cpuCores))),
	};
}

function latencies(phases: readonly Phase[]) {
	const tookMs = phases.flatMap((one) => one.tookMs).sort((a, b) => a - b);
	const at = (share: number): number => round(tookMs[Math.ceil(tookMs.length * share) - 1] ?? Number.NaN);
	return { placed: tookMs.length, p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
	return Math.round(value * 100) / 100;
}
