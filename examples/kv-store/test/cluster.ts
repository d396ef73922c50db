/**
 * A real kv-store cluster for tests: one process per replica in development mode, each with its own directory, to be
 * killed, paused and started again. Everything it starts and writes is gone after `close()`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const main = join(import.meta.dirname, '../src/main.ts');

export interface ClusterReplica {
	readonly url: string;
	readonly dataDir: string;
	readonly pid: number | undefined;
	start(): void;
	/** SIGKILL, and waits until the process is gone. */
	kill(): Promise<void>;
	pause(): void;
	resume(): void;
	/** SIGTERM, and waits for the exit; its code. */
	terminate(): Promise<number | null>;
	/** Its log so far, for messages of failed tests. */
	log(): string;
}

export interface Cluster {
	readonly name: string;
	readonly replicas: readonly ClusterReplica[];
	readonly urls: readonly string[];
	/** Resolves when every replica says so at `/readyz`. */
	ready(timeoutMs: number): Promise<void>;
	/** The replica that leads, as the replicas say themselves. */
	leader(timeoutMs: number): Promise<ClusterReplica>;
	close(): Promise<void>;
}

export async function startCluster(size = 3): Promise<Cluster> {
	const root = await mkdtemp(join(tmpdir(), 'kv-store-'));
	// Unique, or another test's cluster on this machine would be joined.
	const name = `kv-test-${process.pid}-${Date.now().toString(36)}`;
	const replicas: ClusterReplica[] = [];
	for (let i = 0; i < size; i++) replicas.push(createReplica(name, await freePort(), join(root, String(i))));
	const abandon = (): void => {
		for (const { pid } of replicas) if (pid !== undefined) process.kill(pid, 'SIGKILL');
	};
	process.once('exit', abandon);
	for (const replica of replicas) replica.start();
	const cluster: Cluster = {
		name,
		replicas,
		urls: replicas.map(({ url }) => url),
		ready: (timeoutMs) =>
			until(
				timeoutMs,
				() => allReady(replicas),
				() => describe(replicas),
			),
		async leader(timeoutMs) {
			let leader: ClusterReplica | undefined;
			const found = async (): Promise<boolean> => {
				const roles = await Promise.all(replicas.map(roleOf));
				leader = replicas[roles.indexOf('leader')];
				return leader !== undefined;
			};
			await until(timeoutMs, found, () => describe(replicas));
			if (leader === undefined) throw new Error('found is found');
			return leader;
		},
		async close() {
			process.off('exit', abandon);
			await Promise.all(replicas.map((replica) => replica.kill()));
			await rm(root, { recursive: true, force: true });
		},
	};
	return cluster;
}

function createReplica(name: string, port: number, dataDir: string): ClusterReplica {
	let child: ChildProcess | undefined;
	let exited: Promise<unknown> = Promise.resolve();
	let log = '';
	return {
		url: `http://127.0.0.1:${port}`,
		dataDir,
		get pid() {
			return child?.pid;
		},
		start() {
			const args = [
				'--conditions=source',
				main,
				'--dev',
				'--name',
				name,
				'--http',
				`127.0.0.1:${port}`,
				'--data',
				dataDir,
			];
			const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
			for (const stream of [started.stdout, started.stderr]) {
				stream.on('data', (chunk: Buffer) => {
					log = (log + chunk).slice(-20_000);
				});
			}
			child = started;
			exited = once(started, 'exit').then(() => {
				if (child === started) child = undefined;
			});
		},
		async kill() {
			child?.kill('SIGKILL');
			await exited;
		},
		pause: () => void child?.kill('SIGSTOP'),
		resume: () => void child?.kill('SIGCONT'),
		async terminate() {
			const running = child;
			running?.kill('SIGTERM');
			await exited;
			return running?.exitCode ?? null;
		},
		log: () => log,
	};
}

async function allReady(replicas: readonly ClusterReplica[]): Promise<boolean> {
	const answers = await Promise.all(replicas.map(({ url }) => ask(`${url}/readyz`)));
	return answers.every((answer) => answer?.ok === true);
}

async function roleOf({ url }: ClusterReplica): Promise<unknown> {
	const answer = await ask(`${url}/v1/status`);
	const status = (await answer?.json().catch(() => undefined)) as { role?: unknown; hasQuorum?: unknown } | undefined;
	return status?.hasQuorum === true ? status.role : undefined;
}

function ask(url: string): Promise<Response | undefined> {
	return fetch(url, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
}

/** Polls, because what is waited for happens in other processes. */
async function until(timeoutMs: number, done: () => Promise<boolean>, describeState: () => string): Promise<void> {
	const deadline = Date.now() + timeoutMs;
	while (!(await done())) {
		if (Date.now() > deadline) throw new Error(`not reached within ${timeoutMs} ms\n${describeState()}`);
		await delay(20);
	}
}

function describe(replicas: readonly ClusterReplica[]): string {
	return replicas.map((replica) => `--- ${replica.url} pid ${replica.pid}\n${replica.log().slice(-3000)}`).join('\n');
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = server.address();
	server.close();
	await once(server, 'close');
	if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
	return address.port;
}
