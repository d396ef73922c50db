/**
 * A real kv-store cluster for tests: one process per replica in development mode, each with its own directory, to be
 * killed, paused and started again. Everything it starts and writes is gone after `close()`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProgram, freePort, type Program, until } from './program.ts';

const source = join(import.meta.dirname, '../src/main.ts');

export interface ClusterReplica extends Program {
	readonly url: string;
	readonly dataDir: string;
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

export interface ClusterOptions {
	/** The program; from source unless another build of it is named. */
	readonly main?: string;
	/** Where the replicas' directories are made. Default: the system's for temporary files. */
	readonly directory?: string;
	/** Added to every replica's command line. */
	readonly args?: readonly string[];
	/** Modules that every replica loads first. */
	readonly imports?: readonly string[];
	/** Before replica `i` starts for the first time. */
	readonly prepare?: (dataDir: string, i: number) => Promise<void>;
}

export async function startCluster(size = 3, options: ClusterOptions = {}): Promise<Cluster> {
	const root = await mkdtemp(join(options.directory ?? tmpdir(), 'kv-store-'));
	// Unique, or another test's cluster on this machine would be joined.
	const name = `kv-test-${process.pid}-${Date.now().toString(36)}`;
	const replicas: ClusterReplica[] = [];
	for (let i = 0; i < size; i++) {
		const dataDir = join(root, String(i));
		replicas.push(createReplica(name, await freePort(), dataDir, options));
		await options.prepare?.(dataDir, i);
	}
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
			await Promise.all(replicas.map((replica) => replica.kill()));
			await rm(root, { recursive: true, force: true });
		},
	};
	return cluster;
}

function createReplica(
	name: string,
	port: number,
	dataDir: string,
	{ main = source, args = [], imports = [] }: ClusterOptions,
): ClusterReplica {
	const http = `127.0.0.1:${port}`;
	const flags = ['--dev', '--name', name, '--http', http, '--data', dataDir, ...args];
	const program = createProgram(main, flags, imports);
	return Object.assign(program, { url: `http://${http}`, dataDir });
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

function describe(replicas: readonly ClusterReplica[]): string {
	return replicas.map((replica) => `--- ${replica.url} pid ${replica.pid}\n${replica.log().slice(-3000)}`).join('\n');
}
