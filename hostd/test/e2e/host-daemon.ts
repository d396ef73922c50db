/** The real `hostd` of a test host: the built program, as a process of its own. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createMesh, type EnrolledMesh } from '../../../scripts/quickstart/mesh.ts';
import { findProcesses } from './commands.ts';

const MAIN = join(import.meta.dirname, '../../dist/bundle/main.mjs');
const BEECTL = join(import.meta.dirname, '../../../beectl/dist/bundle/main.mjs');

/** A mesh for the hosts of one test, its root below this folder. */
export function createTestMesh(folder: string): Promise<EnrolledMesh> {
	return createMesh({ node: process.execPath, hostd: MAIN, beectl: BEECTL }, join(folder, 'mesh'));
}
const START_MS = 20_000;

export interface DaemonOptions {
	readonly name: string;
	/** State, socket and log below it. */
	readonly folder: string;
	/** Addresses of hosts to join by. */
	readonly join: readonly string[];
	/** Enrols it. */
	readonly mesh: EnrolledMesh;
	/** That the mesh vouches for. Default: none. */
	readonly labels?: Readonly<Record<string, string>>;
	/** The rest of the config file: bind, runtime, … */
	readonly config: Readonly<Record<string, unknown>>;
	/** @default a plain process */
	readonly spawn?: (words: readonly string[], options: SpawnOptions) => ChildProcess;
}

export interface HostDaemon {
	readonly name: string;
	/** Its local API, for beectl. */
	readonly socket: string;
	/** Multiaddr that others join by. */
	readonly address: string;
	readonly process: ChildProcess;
	/** What it has logged since its start. */
	log(): string;
	/** SIGTERM: drains its pods; resolves with the exit code. */
	stop(): Promise<number | null>;
}

/** Resolves when it is ready; rejects with its log when it ends before, or takes too long. */
export async function startDaemon(options: DaemonOptions): Promise<HostDaemon> {
	if (!existsSync(MAIN)) throw new Error('hostd/dist/bundle is missing: run `npm run build` first');
	const { name, folder } = options;
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const [socket, config, logFile] = [join(folder, 'run/hostd.sock'), join(folder, 'hostd.json'), join(folder, 'log')];
	const stateDir = join(folder, 'state');
	const bundle = await options.mesh.enrol(name, stateDir, options.labels);
	const settings = { name, bundle, stateDir, socket, join: options.join, logFormat: 'json' };
	writeFileSync(config, JSON.stringify({ ...settings, ...options.config }));
	const output = openSync(logFile, 'a', 0o600);
	const offset = readFileSync(logFile, 'utf8').length;
	const log = (): string => readFileSync(logFile, 'utf8').slice(offset);
	const words = [process.execPath, MAIN, '--config', config];
	const stdio: SpawnOptions = { stdio: ['ignore', output, output] };
	const child = options.spawn?.(words, stdio) ?? spawn(words[0] as string, words.slice(1), stdio);
	closeSync(output);
	for (const deadlineMs = Date.now() + START_MS; ; await delay(20)) {
		const address = /"message":"host ready".*?"addresses":\["([^"]+)"/.exec(log())?.[1];
		if (address !== undefined) {
			const stop = async (): Promise<number | null> => {
				if (child.exitCode === null && child.signalCode === null) {
					const exited = once(child, 'exit');
					child.kill('SIGTERM');
					await exited;
				}
				return child.exitCode;
			};
			return { name, socket, address, process: child, log, stop };
		}
		if (child.exitCode !== null) throw new Error(`hostd of ${name} ended with ${child.exitCode}:\n${log()}`);
		if (Date.now() > deadlineMs) throw new Error(`hostd of ${name} is not ready after ${START_MS} ms:\n${log()}`);
	}
}

/** Stops them, ends whatever else of theirs runs from their folder, and removes it. `hasFailed`: shows their logs first. */
export async function endDaemons(daemons: readonly HostDaemon[], folder: string, hasFailed: boolean): Promise<void> {
	if (hasFailed) for (const { name, log } of daemons) console.log(`--- hostd of ${name}\n${log()}`);
	await Promise.all(daemons.map((daemon) => daemon.stop()));
	for (const { pid } of findProcesses(({ commandLine }) => commandLine.includes(folder))) process.kill(pid, 'SIGKILL');
	rmSync(folder, { recursive: true, force: true });
}
