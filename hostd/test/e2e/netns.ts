/**
 * Several hosts on one machine: each a network namespace with an address of its own on one bridge, and a Podman of its
 * own. Hosts can be cut off and healed; at the end everything is removed, and `leftovers()` proves it.
 *
 * Needs root. The machine running the test is on the bridge too (`gateway`), and reaches every host that is not cut off.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mountsBelow } from '../../../scripts/mounts.ts';
import { type CommandResult, command, type FoundProcess, findProcesses, tryCommand } from './commands.ts';
import { HostPodman } from './host-podman.ts';

export interface NetworkOptions {
	readonly hosts: number;
	/** A podman `--root` whose images every host sees without a copy of its own. */
	readonly imageStore?: string;
}

export interface NetworkHost {
	readonly index: number;
	/** `h0`, `h1`, … */
	readonly name: string;
	readonly address: string;
	/** Path of its network namespace, for `nsenter --net=`. */
	readonly netns: string;
	/** A folder for its state; gone with the network. */
	readonly folder: string;
	readonly podman: HostPodman;
}

/** What a network must not leave behind, each as a line that names it. */
export interface Leftovers {
	readonly containers: readonly string[];
	readonly volumes: readonly string[];
	readonly namespaces: readonly string[];
	readonly links: readonly string[];
	readonly sockets: readonly string[];
	readonly processes: readonly string[];
	readonly mounts: readonly string[];
}

const END_MS = 10_000;

export async function createNetwork(options: NetworkOptions): Promise<TestNetwork> {
	const network = new TestNetwork(options);
	try {
		await network.open();
		return network;
	} catch (error) {
		await network.close();
		throw error;
	}
}

export class TestNetwork implements AsyncDisposable {
	/** Unique per run, so that runs do not meet. */
	readonly id = `bm${randomBytes(2).toString('hex')}`;
	readonly folder = mkdtempSync(join(tmpdir(), `${this.id}-`));
	readonly hosts: NetworkHost[] = [];
	/** The test's own address on the bridge. */
	gateway = '';
	readonly #options: NetworkOptions;
	readonly #children = new Set<ChildProcess>();
	/** Inodes of the hosts' namespaces: whatever still runs in one is a leftover, also when its name is gone. */
	readonly #inodes = new Set<string>();

	constructor(options: NetworkOptions) {
		this.#options = options;
	}

	async open(): Promise<void> {
		const subnet = await unusedSubnet();
		this.gateway = `${subnet}.1`;
		await command('ip', 'link', 'add', this.#bridge, 'type', 'bridge');
		await command('ip', 'address', 'add', `${this.gateway}/24`, 'dev', this.#bridge);
		await command('ip', 'link', 'set', this.#bridge, 'up');
		for (let index = 0; index < this.#options.hosts; index++) {
			this.hosts.push(await this.#addHost(index, `${subnet}.${10 + index}`));
		}
	}

	/** Unplugs a host: nothing from outside reaches it, what runs on it goes on. */
	async cut(host: NetworkHost): Promise<void> {
		await command('ip', 'link', 'set', this.#cable(host.index), 'down');
	}

	async heal(host: NetworkHost): Promise<void> {
		await command('ip', 'link', 'set', this.#cable(host.index), 'up');
	}

	/** Runs a command in the host's network to its end. */
	exec(host: NetworkHost, words: readonly string[]): Promise<CommandResult> {
		return tryCommand(['nsenter', `--net=${host.netns}`, ...words]);
	}

	/** Starts a process in the host's network; it is killed with the network. Its pid is the command's own. */
	spawn(host: NetworkHost, words: readonly string[], options: SpawnOptions = {}): ChildProcess {
		const child = spawn('nsenter', [`--net=${host.netns}`, ...words], options);
		this.#children.add(child);
		child.once('exit', () => this.#children.delete(child));
		return child;
	}

	/** Removes everything. Safe to call twice, and after a failed `open`. */
	async close(): Promise<void> {
		for (const child of this.#children) child.kill('SIGKILL');
		await Promise.all(this.hosts.map((host) => host.podman.close()));
		await this.#killProcesses();
		for (const mount of mountsBelow(this.folder).reverse()) await tryCommand(['umount', '--lazy', mount]);
		for (const name of await this.#namespaces()) await command('ip', 'netns', 'delete', name);
		for (const link of await this.#links()) await tryCommand(['ip', 'link', 'delete', link]);
		rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
	}

	async leftovers(): Promise<Leftovers> {
		const containers: string[] = [];
		const volumes: string[] = [];
		for (const { name, podman } of this.hosts) {
			containers.push(...(await podman.containers()).map((container) => `${name}: ${container}`));
			volumes.push(...(await podman.volumes()).map((volume) => `${name}: ${volume}`));
		}
		return {
			containers,
			volumes,
			namespaces: await this.#namespaces(),
			links: await this.#links(),
			sockets: socketsBelow(this.folder),
			processes: this.#processes().map(({ pid, commandLine }) => `${pid} ${commandLine}`),
			mounts: mountsBelow(this.folder),
		};
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	get #bridge(): string {
		return `${this.id}br`;
	}

	#cable(index: number): string {
		return `${this.id}v${index}`;
	}

	async #addHost(index: number, address: string): Promise<NetworkHost> {
		const namespace = `${this.id}-h${index}`;
		const cable = this.#cable(index);
		await command('ip', 'netns', 'add', namespace);
		await command('ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
		await command('ip', 'link', 'set', cable, 'master', this.#bridge, 'up');
		const inside = (...words: string[]) => command('ip', '-netns', namespace, ...words);
		await inside('link', 'set', 'lo', 'up');
		await inside('address', 'add', `${address}/24`, 'dev', 'eth0');
		await inside('link', 'set', 'eth0', 'up');
		await inside('route', 'add', 'default', 'via', this.gateway);
		const netns = `/run/netns/${namespace}`;
		this.#inodes.add(`net:[${statSync(netns).ino}]`);
		const folder = join(this.folder, `h${index}`);
		mkdirSync(folder, { mode: 0o700 });
		const podman = new HostPodman({
			folder: join(folder, 'podman'),
			netns,
			...(this.#options.imageStore !== undefined && { imageStore: this.#options.imageStore }),
		});
		return { index, name: `h${index}`, address, netns, folder, podman };
	}

	async #namespaces(): Promise<string[]> {
		const names = readdirSync('/run/netns', { withFileTypes: true }).map(({ name }) => name);
		return names.filter((name) => name.startsWith(`${this.id}-`));
	}

	async #links(): Promise<string[]> {
		const links = JSON.parse(await command('ip', '-json', 'link', 'show')) as { readonly ifname: string }[];
		return links.map(({ ifname }) => ifname).filter((name) => name.startsWith(this.id));
	}

	/** Processes in a host's network, or working on the network's folder. */
	#processes(): FoundProcess[] {
		return findProcesses(
			({ pid, commandLine }) =>
				commandLine.includes(this.folder) || this.#inodes.has(readlinkSync(`/proc/${pid}/ns/net`)),
		);
	}

	async #killProcesses(): Promise<void> {
		const deadlineMs = Date.now() + END_MS;
		for (let left = this.#processes(); left.length > 0 && Date.now() < deadlineMs; left = this.#processes()) {
			for (const { pid } of left) {
				try {
					process.kill(pid, 'SIGKILL');
				} catch {
					// Gone already.
				}
			}
			await delay(50);
		}
	}
}

/** A /24 of 10.0.0.0/8 that no route of this machine covers. */
async function unusedSubnet(): Promise<string> {
	const routes = (await command('ip', '-4', 'route', 'show', 'table', 'all')).split('\n');
	for (let attempt = 0; attempt < 100; attempt++) {
		const [second = 0, third = 0] = randomBytes(2);
		// Podman gives its own networks addresses from 10.88.0.0 on.
		if (second >= 88 && second <= 100) continue;
		const subnet = `10.${second}.${third}`;
		if (!routes.some((route) => route.includes(`${subnet}.`) || route.includes(`10.${second}.0.0/`))) return subnet;
	}
	throw new Error('no unused 10.x.y.0/24 on this machine');
}

function socketsBelow(folder: string): string[] {
	try {
		return readdirSync(folder, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isSocket())
			.map((entry) => join(entry.parentPath, entry.name));
	} catch {
		return [];
	}
}
