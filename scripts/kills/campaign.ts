/**
 * Kills replicas of several workloads at once, by a seeded plan, while nobody has their owner's key; and judges from
 * outside whether each was replaced as promised.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Random, seededRandom } from '../../examples/kv-store/test/random.ts';
import { findProcesses } from '../../hostd/test/e2e/commands.ts';
import { Journal, type Running } from './journal.ts';
import { admittedAfterLoss, type Kill, type KillKind, Ledger, type Spread, spread } from './ledger.ts';
import { type KillMesh, startMesh, type Workload } from './mesh.ts';
import { type Observed, Observer } from './observer.ts';

const WORKLOADS: readonly Workload[] = [
	{ name: 'web', kind: 'Deployment', replicas: 4 },
	{ name: 'jobs', kind: 'Deployment', replicas: 3 },
	{ name: 'store', kind: 'StatefulSet', replicas: 3 },
	{ name: 'ledger', kind: 'StatefulSet', replicas: 5 },
];
const ADMITTED_P99_MS = 10_000;
/** Longer than any healing: what has not healed by then does not. */
const HEALED_MS = 60_000;
const LOOK_EVERY_MS = 5_000;
const AGREED_MS = 20_000;
/** Share of kills that whole hosts are saved for. */
const HOST_SHARE = 0.15;

export interface CampaignOptions {
	readonly kills: number;
	readonly seed: number;
	/** Between a workload's healing and the next strike, at most. */
	readonly pauseMs: number;
	readonly say: (what: string) => void;
	/** Ends everything at once; the campaign rejects with its reason. */
	readonly signal?: AbortSignal;
}

export interface CampaignReport {
	readonly ok: boolean;
	readonly seed: number;
	readonly kills: number;
	/** Replaced by their next generation; the rest came back in place before. */
	readonly replaced: number;
	readonly cameBack: number;
	readonly admittedAfterLossMs: Spread;
	readonly admittedAfterKillMs: Spread;
	/** Until its slot was ready again: the next generation, or itself. */
	readonly readyAfterKillMs: Spread;
	readonly perKind: Readonly<Record<string, Spread & { readonly kills: number }>>;
	readonly duplicates: number;
	readonly beyondMax: number;
	readonly epochs: number;
	readonly overruledEpochs: number;
	readonly historyBytesMax: number;
	readonly tookMs: number;
	readonly violations: readonly string[];
}

export async function campaign(options: CampaignOptions): Promise<CampaignReport> {
	const { say, seed } = options;
	const folder = mkdtempSync(join(tmpdir(), 'bm-kills-'));
	const journal = new Journal(join(folder, 'journal'));
	let mesh: KillMesh | undefined;
	let ok = false;
	say(`seed ${seed}`);
	const run = async (): Promise<CampaignReport> => {
		mesh = await startMesh(folder, journal.path, WORKLOADS, say);
		return await new Campaign(options, mesh, journal).run();
	};
	try {
		const report = await Promise.race([run(), interruption(options.signal)]);
		ok = report.ok;
		return report;
	} finally {
		mesh?.stop();
		journal.close();
		for (const { pid } of findProcesses(({ commandLine }) => commandLine.includes(folder))) end(pid, 'SIGKILL');
		if (ok || options.signal?.aborted === true) rmSync(folder, { recursive: true, force: true });
		else say(`journal and logs of hosts are kept in ${folder}`);
	}
}

function interruption(signal: AbortSignal | undefined): Promise<never> {
	return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

class Campaign {
	readonly #options: CampaignOptions;
	readonly #mesh: KillMesh;
	readonly #journal: Journal;
	readonly #ledger: Ledger;
	readonly #observers: ReadonlyMap<string, Observer>;
	readonly #violations: string[] = [];
	/** Workloads under attack now. */
	#busy = 0;
	#isHostDue = false;

	constructor(options: CampaignOptions, mesh: KillMesh, journal: Journal) {
		this.#options = options;
		this.#mesh = mesh;
		this.#journal = journal;
		this.#ledger = new Ledger(journal);
		this.#observers = new Map(WORKLOADS.map(({ name }) => [name, new Observer(name, mesh.observer)]));
	}

	async run(): Promise<CampaignReport> {
		const beganMs = Date.now();
		const over = new AbortController();
		const looking = this.#lookOn(over.signal);
		const { seed, say } = this.#options;
		const progress = setInterval(() => say(`  ${this.#ledger.kills.length} kills`), 10_000);
		const work = WORKLOADS.map((workload, i) => this.#attack(workload, seededRandom(seed * 1000 + i)));
		await Promise.all([...work, this.#attackHosts(seededRandom(seed * 1000 + WORKLOADS.length))]);
		clearInterval(progress);
		for (const workload of WORKLOADS) await this.#healed(workload, true);
		over.abort();
		await looking;
		const observed = await this.#finalLook();
		return this.#report(observed, Date.now() - beganMs);
	}

	get #isOver(): boolean {
		return this.#ledger.kills.length >= this.#options.kills || this.#violations.length > 0;
	}

	/** Those of a workload that run and were not hit, each slot's newest. */
	#holders({ name }: Workload): Running[] {
		const bySlot = new Map<number, Running>();
		for (const run of this.#journal.running()) {
			if (run.workload !== name || run.isHit) continue;
			if ((bySlot.get(run.slot)?.gen ?? 0) < run.gen) bySlot.set(run.slot, run);
		}
		return [...bySlot.values()];
	}

	/** Every slot is held by a replica that is ready; `alone`: and nobody else is left. */
	async #healed(workload: Workload, alone: boolean): Promise<boolean> {
		const { name, replicas } = workload;
		for (const deadlineMs = Date.now() + HEALED_MS; ; await delay(50)) {
			this.#journal.read();
			const ready = this.#holders(workload).filter((run) => run.ready);
			const others = this.#journal.running().filter((run) => run.workload === name).length - ready.length;
			if (ready.length === replicas && (!alone || others === 0)) return true;
			if (Date.now() < deadlineMs) continue;
			const slots = ready.map(({ slot, gen }) => `${slot}g${gen}`).join(' ');
			this.#violate(`${name} has not healed: ready are ${slots || 'none'} of ${replicas}, and ${others} others run`);
			return false;
		}
	}

	#violate(what: string): void {
		this.#options.say(`VIOLATION: ${what}`);
		this.#violations.push(what);
	}

	async #attack(workload: Workload, random: Random): Promise<void> {
		const isStateful = workload.kind === 'StatefulSet';
		while (!this.#isOver) {
			if (this.#isHostDue) {
				await delay(50);
				continue;
			}
			this.#busy++;
			try {
				if (!(await this.#healed(workload, isStateful))) return;
				await delay(random.between(0, this.#options.pauseMs));
				await this.#strike(workload, random);
				await this.#healed(workload, false);
			} finally {
				this.#busy--;
			}
		}
	}

	async #strike(workload: Workload, random: Random): Promise<void> {
		const kinds: KillKind[] = ['kill', 'kill', 'kill', 'stop'];
		if (spare(workload) >= 2) kinds.push('pair', workload.kind === 'Deployment' ? 'again' : 'kill');
		const kind = random.pick(kinds);
		const holders = this.#holders(workload);
		const [first, second] = shuffled(holders, random);
		if (first === undefined || second === undefined) return;
		if (kind === 'stop') {
			this.#hit(kind, first, 'SIGSTOP');
			await delay(random.between(1000, 4000));
			end(-first.group, 'SIGKILL');
			return;
		}
		this.#hit(kind, first, 'SIGKILL');
		if (kind === 'pair') this.#hit(kind, second, 'SIGKILL');
		if (kind !== 'again') return;
		await delay(random.between(100, 2000));
		// Some slots may have changed hands meanwhile; one replica is always left.
		const [next, another] = shuffled(this.#holders(workload), random);
		if (next !== undefined && another !== undefined) this.#hit(kind, next, 'SIGKILL');
	}

	#hit(kind: KillKind, run: Running, name: NodeJS.Signals): void {
		run.isHit = true;
		this.#ledger.add(kind, run);
		end(-run.group, name);
	}

	/** A whole host with all its pods at once, where every workload keeps enough to go on; then its hostd comes back. */
	async #attackHosts(random: Random): Promise<void> {
		let hostKills = 0;
		while (!this.#isOver) {
			await delay(100);
			if (hostKills + 1 > this.#ledger.kills.length * HOST_SHARE) continue;
			this.#isHostDue = true;
			while (this.#busy > 0) await delay(20);
			for (const workload of WORKLOADS) await this.#healed(workload, true);
			const host = this.#isOver ? undefined : shuffled(this.#mesh.hosts, random).find((one) => this.#canLose(one));
			if (host === undefined) hostKills++;
			else {
				const victims = this.#podsOf(host);
				this.#options.say(`  killing host ${host.name} with ${victims.length} pods`);
				end(host.process.pid ?? 0, 'SIGKILL');
				for (const victim of victims) this.#hit('host', victim, 'SIGKILL');
				hostKills += victims.length + 1;
				await delay(random.between(500, 4000));
				await this.#mesh.restart(host);
				for (const workload of WORKLOADS) await this.#healed(workload, false);
			}
			this.#isHostDue = false;
		}
		this.#isHostDue = false;
	}

	#podsOf(host: { readonly socket: string }): Running[] {
		const folder = host.socket.slice(0, host.socket.lastIndexOf('/'));
		return this.#journal.running().filter(({ socket }) => socket.startsWith(`${folder}/`));
	}

	#canLose(host: { readonly socket: string }): boolean {
		const pods = this.#podsOf(host);
		const lost = ({ name }: Workload): number => pods.filter(({ workload }) => workload === name).length;
		return pods.length > 0 && WORKLOADS.every((workload) => lost(workload) <= spare(workload));
	}

	/** Sees epochs that others overrule later. */
	async #lookOn(signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			for (const workload of WORKLOADS) await this.#look(workload);
			await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
		}
	}

	async #look(workload: Workload): Promise<void> {
		const [first] = this.#holders(workload);
		if (first === undefined) return;
		// Its host may be gone by now; another look follows.
		await this.#observers
			.get(workload.name)
			?.look(first.socket)
			.catch((error: Error) => this.#options.say(`  not seen: ${workload.name}: ${error.message}`));
	}

	async #finalLook(): Promise<Observed[]> {
		const all: Observed[] = [];
		for (const workload of WORKLOADS) {
			for (const deadlineMs = Date.now() + AGREED_MS; ; await delay(200)) {
				await this.#look(workload);
				const report = this.#observers.get(workload.name)?.report();
				// A replica that came back in place may be replaced even so, a moment later.
				const holders = this.#holders(workload);
				const expected = holders.map(({ slot, gen, replicaId }) => `${slot}g${gen} ${replicaId}`).sort();
				const members = report?.members.map(({ slot, gen, replicaId }) => `${slot}g${gen} ${replicaId}`).sort();
				const isSame = report?.isAgreed === true && members?.join() === expected.join();
				if (report !== undefined && (isSame || Date.now() > deadlineMs)) {
					if (!isSame)
						this.#violate(`${workload.name}: members are ${members?.join()}, running are ${expected.join()}`);
					all.push(report);
					break;
				}
			}
		}
		return all;
	}

	#report(observed: readonly Observed[], tookMs: number): CampaignReport {
		const { kills } = this.#ledger;
		const duplicates = [...this.#ledger.duplicates(), ...observed.flatMap((each) => each.duplicates)];
		const beyondMax = observed.flatMap((each) => each.beyondMax);
		for (const what of duplicates) this.#violate(`two replicas have had ${what}`);
		for (const what of beyondMax) this.#violate(what);
		const admittedAfterLossMs = spread(admittedAfterLoss(kills));
		if (admittedAfterLossMs.p99 > ADMITTED_P99_MS) this.#violate(`admitted p99 is ${admittedAfterLossMs.p99} ms`);
		const since = (at: (kill: Kill) => number | undefined): Spread =>
			spread(kills.flatMap((kill) => (at(kill) === undefined ? [] : [(at(kill) as number) - kill.atMs])));
		const kinds = [...new Set(kills.map(({ kind }) => kind))];
		const ofKind = (kind: KillKind): Kill[] => kills.filter((kill) => kill.kind === kind);
		const replaced = kills.filter(({ admittedAtMs }) => admittedAtMs !== undefined).length;
		return {
			ok: this.#violations.length === 0,
			seed: this.#options.seed,
			kills: kills.length,
			...{ replaced, cameBack: kills.length - replaced, admittedAfterLossMs },
			admittedAfterKillMs: since(({ admittedAtMs }) => admittedAtMs),
			readyAfterKillMs: since(({ backAtMs, readyAtMs }) =>
				backAtMs === undefined ? readyAtMs : Math.min(backAtMs, readyAtMs ?? backAtMs),
			),
			perKind: Object.fromEntries(
				kinds.map((kind) => [kind, { kills: ofKind(kind).length, ...spread(admittedAfterLoss(ofKind(kind))) }]),
			),
			duplicates: duplicates.length,
			beyondMax: beyondMax.length,
			epochs: observed.reduce((sum, { epochs }) => sum + epochs, 0),
			overruledEpochs: observed.reduce((sum, { overruled }) => sum + overruled, 0),
			historyBytesMax: Math.max(...observed.map(({ historyBytes }) => historyBytes)),
			tookMs,
			violations: this.#violations,
		};
	}
}

/** Replicas that can go at once while the rest can still admit others. */
function spare({ kind, replicas }: Workload): number {
	return kind === 'StatefulSet' ? Math.ceil(replicas / 2) - 1 : replicas - 1;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
	const left = [...items];
	return items.map(() => left.splice(random.below(left.length), 1)[0] as T);
}

/** A negative id is a process group. */
function end(pid: number, name: NodeJS.Signals): void {
	try {
		process.kill(pid, name);
	} catch {
		// It ended by itself.
	}
}
