/**
 * One seeded run of a whole group: real cores, simulated disks, network and clocks, faults of every kind, clients,
 * and checkers after every step. The same seed always gives the same run.
 */
import { type Call, checkLinearizable } from '../../testing/linearizable.ts';
import { bootstrapLog, createRaftNode, type MemberId, type RaftNode, type RaftOptions } from '../core/index.ts';
import { Checkers, type Rule, Violation } from './checkers.ts';
import { Client } from './client.ts';
import { Disk } from './disk.ts';
import { FAIR, Faults } from './faults.ts';
import { Network } from './network.ts';
import { type Packet, Process, type Reply, type Request } from './process.ts';
import { type Random, randomFrom } from './random.ts';
import { Schedule } from './schedule.ts';

export interface SimulationOptions {
	readonly seed: number;
	readonly nodes: number;
	/** How long faults last, in virtual time. @default 4000 */
	readonly faultsMs?: number;
	/** In place of what the seed chooses. */
	readonly settings?: Partial<RaftOptions>;
	/** @default createRaftNode */
	readonly createNode?: (options: RaftOptions) => RaftNode;
	/** @default false */
	readonly repliesBeforePersist?: boolean;
	/** @default false */
	readonly forgetsVote?: boolean;
	/** @default false */
	readonly keepsMembers?: boolean;
}

export interface SimulationResult {
	readonly seed: number;
	/** Batches of events stepped by all nodes. */
	readonly steps: number;
	readonly calls: number;
	readonly elections: number;
	readonly violation: { readonly rule: Rule; readonly message: string; readonly atMs: number } | undefined;
}

const CLIENTS = 5;
const KEYS = ['a', 'b', 'c'];
/** Enough for several elections and for every client's last reads. */
const RECOVERY_MS = 20_000;
const NEWCOMERS_MAX = 4;

export function simulate(options: SimulationOptions): SimulationResult {
	return new Simulation(options).run();
}

/** Each run has limits of its own: tiny messages and windows bring out other orders than large ones. */
function settingsOf(random: Random): Partial<RaftOptions> {
	const electionTimeoutMs = random.pick([60, 100, 150, 300]);
	const isSafeguarded = random.chance(0.8);
	return {
		electionTimeoutMs,
		heartbeatMs: electionTimeoutMs / random.pick([3, 5, 10]),
		messageBytesMax: random.pick([1, 100, 400, 4000]),
		inflightMessagesMax: random.pick([1, 2, 4, 64]),
		applyingBytesMax: random.pick([1, 500, 100_000]),
		// Safety must not rest on either of them.
		preVote: isSafeguarded || random.chance(0.5),
		checkQuorum: isSafeguarded || random.chance(0.5),
	};
}

class Simulation {
	readonly #options: SimulationOptions;
	readonly #random: Random;
	readonly #schedule = new Schedule();
	readonly #checkers = new Checkers();
	readonly #processes = new Map<MemberId, Process>();
	readonly #disks = new Map<MemberId, Disk>();
	readonly #network: Network<Packet>;
	readonly #history: Call[] = [];
	readonly #settings: Partial<RaftOptions>;
	#faults: Faults | undefined;
	#steps = 0;

	constructor(options: SimulationOptions) {
		this.#options = options;
		this.#random = randomFrom(options.seed);
		this.#settings = { ...settingsOf(this.#random), ...options.settings };
		this.#network = new Network(this.#random, this.#schedule, FAIR, (_, to, packet: Packet) =>
			this.#processes.get(to)?.receive(packet),
		);
	}

	run(): SimulationResult {
		let violation: SimulationResult['violation'];
		try {
			this.#play();
		} catch (error) {
			if (!(error instanceof Violation)) throw error;
			violation = { rule: error.rule, message: error.message, atMs: Math.round(this.#schedule.nowMs) };
		}
		const { seed } = this.#options;
		const elections = this.#checkers.elections;
		return { seed, steps: this.#steps, calls: this.#history.length, elections, violation };
	}

	#play(): void {
		this.#startGroup();
		const clients = this.#startClients();
		const faults = this.#startFaults();
		const faultsEndMs = this.#options.faultsMs ?? 4000;
		while (this.#schedule.runNext(faultsEndMs));
		faults.end();
		for (const client of clients) client.stop();
		const endMs = faultsEndMs + RECOVERY_MS;
		while (!clients.every(({ isDone }) => isDone)) {
			if (this.#schedule.runNext(endMs)) continue;
			throw new Violation('recovery', `clients still wait ${RECOVERY_MS} ms after the last fault`);
		}
		for (const process of this.#processes.values()) {
			const { index, digest } = process.finalDigest();
			this.#checkers.digest(process.id, index, digest);
		}
		const { isLinearizable, key, stuckAt } = checkLinearizable(this.#history);
		if (!isLinearizable) throw new Violation('linearizability', `key ${key}: ${JSON.stringify(stuckAt)}`);
	}

	#startGroup(): void {
		const ids = Array.from({ length: this.#options.nodes }, (_, i) => i + 1);
		const log = bootstrapLog(ids.map((id) => ({ id, context: new Uint8Array(0) })));
		for (const id of ids) {
			const process = this.#add(id);
			const disk = this.#disks.get(id);
			if (disk === undefined) continue;
			disk.hardState = log.hardState;
			disk.entries = [...log.entries];
			process.start();
		}
		for (const entry of log.entries) this.#checkers.committed(0, entry.index, entry, log.hardState.term);
	}

	#add(id: MemberId): Process {
		const {
			createNode = createRaftNode,
			repliesBeforePersist = false,
			forgetsVote = false,
			keepsMembers = false,
		} = this.#options;
		const disk = new Disk(this.#random, this.#schedule);
		const process = new Process(id, {
			random: this.#random,
			schedule: this.#schedule,
			checkers: this.#checkers,
			disk,
			send: (packet) => this.#network.send(packet.message.from, packet.message.to, packet),
			createNode,
			settings: this.#settings,
			stepped: () => {
				this.#steps += 1;
			},
			elected: (leader) => this.#faults?.elected(leader),
			repliesBeforePersist,
			forgetsVote,
			keepsMembers,
		});
		this.#disks.set(id, disk);
		this.#processes.set(id, process);
		return process;
	}

	#startClients(): Client[] {
		return Array.from({ length: CLIENTS }, (_, i) => {
			const client = new Client(i + 1, KEYS, {
				random: this.#random,
				schedule: this.#schedule,
				members: () => [...this.#processes.keys()],
				history: this.#history,
				call: (to, request, respond) => this.#call(to, request, respond),
			});
			client.start();
			return client;
		});
	}

	/** Clients reach every process, however the group is split: that is where stale answers would come from. */
	#call(to: MemberId, request: Request, respond: (reply: Reply) => void): void {
		const delayMs = () => 0.2 + this.#random() * 2;
		this.#schedule.after(delayMs(), () => {
			const process = this.#processes.get(to);
			process?.request(request, (reply) => this.#schedule.after(delayMs(), () => respond(reply)));
		});
	}

	#startFaults(): Faults {
		const idsMax = this.#options.nodes + NEWCOMERS_MAX;
		const faults = new Faults({
			random: this.#random,
			schedule: this.#schedule,
			network: this.#network,
			processes: this.#processes,
			setSlowDisk: (id, isSlow) => {
				const disk = this.#disks.get(id);
				if (disk !== undefined) disk.isSlow = isSlow;
			},
			spawn: () => {
				if (this.#processes.size >= idsMax) return undefined;
				const process = this.#add(this.#processes.size + 1);
				process.start();
				return process;
			},
		});
		this.#faults = faults;
		faults.start();
		return faults;
	}
}
