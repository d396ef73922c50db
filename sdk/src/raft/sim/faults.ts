/** What goes wrong in a run: one fault after the other, and at the end everything is repaired. */
import { type ConfChangeItem, type ConfState, LEAVE_JOINT, type MemberId } from '../core/index.ts';
import type { Network, NetworkWeather } from './network.ts';
import type { Packet, Process } from './process.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export const FAIR: NetworkWeather = { delayMs: [0.5, 3], lossRate: 0, duplicateRate: 0, straggleRate: 0 };

export interface FaultComponents {
	readonly random: Random;
	readonly schedule: Schedule;
	readonly network: Network<Packet>;
	readonly processes: Map<MemberId, Process>;
	readonly setSlowDisk: (id: MemberId, isSlow: boolean) => void;
	/** Starts a process with an empty disk. */
	readonly spawn: () => Process | undefined;
}

const NO_CONTEXT = new Uint8Array(0);

export class Faults {
	readonly #components: FaultComponents;
	/** Some runs have a fault every few messages, others let the group settle in between. */
	readonly #gapMs: number;
	/** Some runs strike at leaders just when they have been elected (figure 8). */
	readonly #isHasty: boolean;
	#isOver = false;

	constructor(components: FaultComponents) {
		this.#components = components;
		this.#gapMs = components.random.pick([25, 60, 120]);
		this.#isHasty = components.random.chance(0.4);
	}

	start(): void {
		this.#next();
	}

	elected(id: MemberId): void {
		const { random, schedule, processes } = this.#components;
		const leader = processes.get(id);
		if (this.#isOver || !this.#isHasty || leader === undefined || random.chance(0.3)) return;
		schedule.after(random() * 12, () => {
			if (this.#isOver) return;
			if (random.chance(0.5)) this.#crash([leader]);
			else this.#split([leader, ...random.shuffle(this.#others(leader))], random.int(1, 2));
		});
	}

	#others(process: Process): Process[] {
		return [...this.#components.processes.values()].filter((other) => other !== process);
	}

	#next(): void {
		const { random, schedule } = this.#components;
		schedule.after(random() * 2 * this.#gapMs, () => {
			if (this.#isOver) return;
			this.#strike();
			this.#next();
		});
	}

	/** Restarts, reconnects and speeds up everybody. */
	end(): void {
		const { network, processes } = this.#components;
		this.#isOver = true;
		network.heal();
		network.weather = FAIR;
		for (const process of processes.values()) {
			process.pause(0);
			this.#components.setSlowDisk(process.id, false);
			if (!process.isUp) process.start();
		}
	}

	#strike(): void {
		const { random, network, processes } = this.#components;
		const all = [...processes.values()];
		const leader = this.#leader();
		const victim = leader !== undefined && random.chance(0.4) ? leader : random.pick(all);
		const faults: (() => void)[] = [
			() => this.#crash([victim]),
			() => this.#crash(random.shuffle(all).slice(0, random.int(1, all.length))),
			() => victim.pause(random.int(20, 600)),
			() => this.#split(random.shuffle(all), random.int(1, all.length - 1)),
			() => this.#split([victim, ...this.#others(victim)], 1),
			() => this.#split([victim, ...random.shuffle(this.#others(victim))], 2),
			() => this.#splitOffNewcomers(victim),
			() => this.#oneWay(victim, all),
			() => network.heal(),
			() => network.heal(),
			() => this.#weather(),
			() => this.#slowDisk(victim),
			() => leader?.handOver(),
			() => victim.forgetLeader(),
			() => this.#reconfigure(leader),
			() => this.#reconfigure(leader),
			() => this.#reconfigure(leader),
		];
		random.pick(faults)();
	}

	/** The newest, where several believe to lead. */
	#leader(): Process | undefined {
		const leaders = [...this.#components.processes.values()].filter(({ isLeader }) => isLeader);
		return leaders.sort((a, b) => b.term - a.term)[0];
	}

	#crash(victims: readonly Process[]): void {
		const { random, schedule } = this.#components;
		for (const victim of victims) {
			if (!victim.isUp) continue;
			victim.crash();
			schedule.after(random() * 500, () => {
				if (!victim.isUp) victim.start();
			});
		}
	}

	#split(order: readonly Process[], count: number): void {
		const { network } = this.#components;
		network.heal();
		for (const a of order.slice(0, count)) {
			for (const b of order.slice(count)) {
				network.cut(a.id, b.id);
				network.cut(b.id, a.id);
			}
		}
		this.#healLater();
	}

	#healLater(): void {
		const { random, schedule, network } = this.#components;
		schedule.after(random() * 800, () => network.heal());
	}

	/** One member with the newest ones against the others: where the halves of a joint state would drift apart. */
	#splitOffNewcomers(victim: Process): void {
		const newest = this.#others(victim).sort((a, b) => b.id - a.id);
		this.#split([victim, ...newest], this.#components.random.int(2, Math.max(2, newest.length - 2)));
	}

	#oneWay(victim: Process, all: readonly Process[]): void {
		const { random, network } = this.#components;
		const isDeaf = random.chance(0.5);
		for (const other of all) {
			if (other === victim || random.chance(0.2)) continue;
			if (isDeaf) network.cut(other.id, victim.id);
			else network.cut(victim.id, other.id);
		}
		this.#healLater();
	}

	#weather(): void {
		const { random, schedule, network } = this.#components;
		network.weather = random.pick<NetworkWeather>([
			FAIR,
			{ delayMs: [0.5, 10], lossRate: 0.05, duplicateRate: 0.05, straggleRate: 0.05 },
			{ delayMs: [1, 60], lossRate: 0.02, duplicateRate: 0.2, straggleRate: 0.1 },
			{ delayMs: [0.5, 5], lossRate: 0.3, duplicateRate: 0, straggleRate: 0.2 },
		]);
		schedule.after(random() * 1500, () => {
			network.weather = FAIR;
		});
	}

	#slowDisk(victim: Process): void {
		const { random, schedule, setSlowDisk } = this.#components;
		setSlowDisk(victim.id, true);
		schedule.after(random() * 1000, () => setSlowDisk(victim.id, false));
	}

	#reconfigure(leader: Process | undefined): void {
		if (leader?.node === undefined) return;
		const { random, schedule } = this.#components;
		const { confState } = leader.node.status();
		if (confState.votersOutgoing.length > 0) {
			leader.reconfigure(LEAVE_JOINT);
			return;
		}
		const changes = random.chance(0.3) ? this.#replacement(confState) : [this.#change(confState)];
		if (random.chance(0.2)) changes.push(this.#change(confState));
		const transition = random.pick(['auto', 'auto', 'joint-implicit', 'joint-explicit'] as const);
		leader.reconfigure({ transition, changes, context: NO_CONTEXT });
		if (random.chance(0.5)) schedule.after(random() * 40, () => this.#isOver || this.#splitOffNewcomers(leader));
	}

	/** Another set of three to five voters, however little it has in common with the old one. */
	#replacement({ voters }: ConfState): ConfChangeItem[] {
		const { random, spawn } = this.#components;
		const newcomers = [spawn(), spawn()].flatMap((process) => (process === undefined ? [] : [process.id]));
		const next = random.shuffle([...new Set([...voters, ...newcomers])]).slice(0, random.int(3, 5));
		return [
			...next.filter((id) => !voters.includes(id)).map((id) => ({ type: 'add-voter', id }) as const),
			...voters.filter((id) => !next.includes(id)).map((id) => ({ type: 'remove', id }) as const),
		];
	}

	#change({ voters, learners }: ConfState): ConfChangeItem {
		const { random } = this.#components;
		const learner = learners.length > 0 ? random.pick(learners) : undefined;
		if (learner !== undefined && random.chance(0.6)) return { type: 'add-voter', id: learner };
		if (voters.length > 3 && random.chance(0.5)) {
			return { type: random.chance(0.7) ? 'remove' : 'add-learner', id: random.pick(voters) };
		}
		const newcomer = this.#components.spawn();
		if (newcomer !== undefined) return { type: random.chance(0.7) ? 'add-learner' : 'add-voter', id: newcomer.id };
		return learner === undefined ? { type: 'add-voter', id: random.pick(voters) } : { type: 'remove', id: learner };
	}
}
