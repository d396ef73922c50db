/** The Podman of one host: storage of its own, its containers' network inside the host's namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { command, findProcesses, tryCommand } from './commands.ts';

export interface HostPodmanOptions {
	readonly folder: string;
	readonly netns: string;
	readonly imageStore?: string;
}

const START_MS = 20_000;
const TIDY_MS = 3_000;

export class HostPodman {
	/** Its API, once `start` has resolved. */
	readonly socket: string;
	readonly #options: HostPodmanOptions;
	#service: ChildProcess | undefined;

	constructor(options: HostPodmanOptions) {
		this.#options = options;
		this.socket = join(options.folder, 'podman.sock');
	}

	/** Starts the API service. */
	async start(): Promise<void> {
		mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 });
		const [program = '', ...args] = this.#words('system', 'service', '--time=0', `unix://${this.socket}`);
		// Its monitors leave a file named `oom` where they are started.
		const service = spawn(program, args, { stdio: 'ignore', cwd: this.#options.folder });
		this.#service = service;
		const deadlineMs = Date.now() + START_MS;
		while (!(await answers(this.socket))) {
			if (service.exitCode !== null) throw new Error(`podman system service ended with ${service.exitCode}`);
			if (Date.now() > deadlineMs) throw new Error(`podman system service did not listen within ${START_MS} ms`);
			await delay(25);
		}
	}

	/** Ends the API service; containers go on. */
	async stop(): Promise<void> {
		const service = this.#service;
		this.#service = undefined;
		if (!service || service.exitCode !== null || service.signalCode !== null) return;
		const ended = once(service, 'exit');
		service.kill('SIGTERM');
		await ended;
	}

	run(...args: readonly string[]): Promise<string> {
		return command(...this.#words(...args));
	}

	/** Names of all containers, running or not. */
	containers(): Promise<string[]> {
		return this.#lines('ps', '--all', '--format={{.Names}}');
	}

	volumes(): Promise<string[]> {
		return this.#lines('volume', 'ls', '--format={{.Name}}');
	}

	/** SIGKILLs every container process at once, as a host that loses power would. */
	async killAll(): Promise<void> {
		const pids = await this.#lines('ps', '--format={{.Pid}}');
		for (const pid of pids.map(Number)) if (pid > 0) process.kill(pid, 'SIGKILL');
	}

	/** Removes pods, containers, volumes and networks, and ends the service. */
	async close(): Promise<void> {
		if (existsSync(this.#options.folder)) {
			// One after the other: Podman's clean-ups of two pods at once wait for each other, for seconds.
			for (const pod of await this.#lines('pod', 'ps', '--format={{.Name}}')) {
				const ids = await this.#lines('ps', '--all', '--no-trunc', `--filter=pod=${pod}`, '--format={{.ID}}');
				await tryCommand(this.#words('pod', 'kill', pod));
				await this.#tidied(ids);
				await tryCommand(this.#words('pod', 'rm', '--force', '--time=0', pod));
			}
			for (const words of [
				['pod', 'rm', '--all', '--force', '--time=0'],
				['rm', '--all', '--force', '--time=0'],
				['volume', 'rm', '--all', '--force'],
				['network', 'prune', '--force'],
			]) {
				await tryCommand(this.#words(...words));
			}
		}
		await this.stop();
	}

	/** Waits for Podman's own clean-up after killed containers: a removal that meets it stalls for seconds. */
	async #tidied(containerIds: readonly string[]): Promise<void> {
		const deadlineMs = Date.now() + TIDY_MS;
		// First the container's monitor, which then becomes the clean-up; both name the container.
		const isMonitor = ({ commandLine }: { readonly commandLine: string }) =>
			containerIds.some((id) => commandLine.includes(id));
		while (findProcesses(isMonitor).length > 0 && Date.now() < deadlineMs) await delay(20);
	}

	async #lines(...args: readonly string[]): Promise<string[]> {
		// After `close` there is nothing, and asking would make a new storage.
		if (!existsSync(this.#options.folder)) return [];
		return (await this.run(...args)).split('\n').filter((line) => line !== '');
	}

	#words(...args: readonly string[]): string[] {
		const { folder, netns, imageStore } = this.#options;
		return [
			'nsenter',
			`--net=${netns}`,
			'podman',
			`--root=${join(folder, 'root')}`,
			`--runroot=${join(folder, 'run')}`,
			`--tmpdir=${join(folder, 'tmp')}`,
			...(imageStore === undefined ? [] : [`--storage-opt=additionalimagestore=${imageStore}`]),
			...args,
		];
	}
}

function answers(socketPath: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(socketPath);
		socket.once('connect', () => {
			socket.destroy();
			resolve(true);
		});
		socket.once('error', () => resolve(false));
	});
}
