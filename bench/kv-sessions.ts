/**
 * What sessions cost a kv-store: two clusters of three replicas, of which one has no sessions, take turns under the same
 * load; 64 requests in flight over HTTP, spread over the replicas, so that two of three go on to the leader. The cluster
 * without sessions is another build of the program, made here; the program itself has no such switch. The logs are in
 * memory unless told otherwise, for a disk that is waited for hides what sessions cost.
 * Usage: npm run bench -- kv-sessions [--rounds 40] [--seconds 0.7] [--data /dev/shm]
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Plugin } from 'esbuild';
import { type Cluster, startCluster } from '../examples/kv-store/test/cluster.ts';
import { bundle } from '../scripts/bundle.ts';

const IN_FLIGHT = 64;
const KEYS = 1_000;
const VALUE_BYTES = 1024;
const WARM_UP_MS = 3_000;
const READY_MS = 30_000;
/** Of `/proc/PID/stat`, on every Linux. */
const TICKS_PER_SECOND = 100;

const ROOT = join(import.meta.dirname, '..');
const LIBP2P = join(ROOT, 'sdk/src/streams/libp2p');
/** Said in every connection that has a session, and so in every program that has them. */
const SESSION_PROTOCOL = '/beemesh/session/quic/1';

type Mode = 'on' | 'off';
type Kind = 'writes' | 'reads';
const KINDS: readonly Kind[] = ['writes', 'reads'];

interface Round {
	readonly operationsPerSecond: number;
	/** Of the three replicas, all threads. */
	readonly cpuMs: number;
	/** Of each operation that succeeded. */
	readonly tookMs: readonly number[];
	/** A busy machine lets a deadline pass now and then. */
	readonly failed: number;
}

interface Sample {
	readonly on: Round;
	readonly off: Round;
}

/** The switch: TLS alone beneath libp2p. */
const withoutSessions: Plugin = {
	name: 'without-sessions',
	setup({ onResolve, onLoad }) {
		onResolve({ filter: /^\.\/wire\.ts$/ }, ({ importer }) =>
			importer === join(LIBP2P, 'node.ts') ? { path: 'wire', namespace: 'plain' } : undefined,
		);
		onLoad({ filter: /^wire$/, namespace: 'plain' }, () => ({
			contents: "export { plainWire as secureWire } from './test/plain-wire.ts';",
			resolveDir: LIBP2P,
			loader: 'ts',
		}));
	},
};

async function build(mode: Mode, directory: string): Promise<string> {
	const out = join(directory, mode);
	await bundle(join(ROOT, 'examples/kv-store/src/main.ts'), out, mode === 'off' ? [withoutSessions] : []);
	const modules = readdirSync(out).filter((file) => file.endsWith('.mjs'));
	const hasSessions = modules.some((file) => readFileSync(join(out, file), 'utf8').includes(SESSION_PROTOCOL));
	if (hasSessions !== (mode === 'on')) throw new Error(`the build for '${mode}' has sessions: ${hasSessions}`);
	return join(out, 'main.mjs');
}

/** HTTP/1.1 with next to no work for the client: its processor is the replicas' too. */
class HttpConnection {
	readonly #socket: Socket;
	#answer = Promise.withResolvers<number>();
	#bytes: Buffer = Buffer.alloc(0);

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.setNoDelay(true);
		socket.on('data', (chunk) => this.#receive(chunk));
		socket.on('close', () => this.#answer.reject(new Error('a replica closed a connection')));
		this.#answer.promise.catch(() => undefined);
	}

	static async open(url: string): Promise<HttpConnection> {
		const { hostname, port } = new URL(url);
		const socket = connect({ host: hostname, port: Number(port) });
		await once(socket, 'connect');
		return new HttpConnection(socket);
	}

	/** The status of the answer. */
	send(request: Buffer): Promise<number> {
		this.#answer = Promise.withResolvers();
		this.#socket.write(request);
		return this.#answer.promise;
	}

	close(): void {
		this.#answer.promise.catch(() => undefined);
		this.#socket.destroy();
	}

	#receive(chunk: Buffer): void {
		this.#bytes = this.#bytes.byteLength === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
		const headEnd = this.#bytes.indexOf('\r\n\r\n');
		if (headEnd < 0) return;
		const head = this.#bytes.toString('latin1', 0, headEnd);
		const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
		if (this.#bytes.byteLength < headEnd + 4 + length) return;
		this.#bytes = Buffer.alloc(0);
		this.#answer.resolve(Number(head.slice(9, 12)));
	}
}

function requestOf(kind: Kind, key: number, value: Buffer): Buffer {
	const method = kind === 'writes' ? 'PUT' : 'GET';
	const body = kind === 'writes' ? value : Buffer.alloc(0);
	const head = `${method} /v1/kv/key-${key} HTTP/1.1\r\nhost: bench\r\ncontent-length: ${body.byteLength}\r\n\r\n`;
	return Buffer.concat([Buffer.from(head), body]);
}

/** One cluster, and the load on it. */
class Load {
	readonly #cluster: Cluster;
	readonly #connections: readonly HttpConnection[];
	readonly #value = randomBytes(VALUE_BYTES);
	#next = 0;

	private constructor(cluster: Cluster, connections: readonly HttpConnection[]) {
		this.#cluster = cluster;
		this.#connections = connections;
	}

	static async start(main: string, data: string): Promise<Load> {
		const cluster = await startCluster(3, { main, directory: data });
		try {
			await cluster.ready(READY_MS);
			const opened = Array.from({ length: IN_FLIGHT }, (_, i) => HttpConnection.open(cluster.urls[i % 3] ?? ''));
			return new Load(cluster, await Promise.all(opened));
		} catch (error) {
			await cluster.close();
			throw error;
		}
	}

	async run(kind: Kind, durationMs: number): Promise<Round> {
		const tookMs: number[] = [];
		let failed = 0;
		const cpuBeforeMs = this.#cpuMs();
		const startMs = performance.now();
		const worker = async (connection: HttpConnection): Promise<void> => {
			for (let sentMs = performance.now(); sentMs < startMs + durationMs; ) {
				const status = await connection.send(requestOf(kind, this.#next++ % KEYS, this.#value));
				const nowMs = performance.now();
				if (status === 200) tookMs.push(nowMs - sentMs);
				else if (status >= 500) failed++;
				else throw new Error(`${kind}: a replica answered ${status}`);
				sentMs = nowMs;
			}
		};
		await Promise.all(this.#connections.map(worker));
		const seconds = (performance.now() - startMs) / 1000;
		const cpuMs = this.#cpuMs() - cpuBeforeMs;
		return { operationsPerSecond: tookMs.length / seconds, cpuMs, tookMs, failed };
	}

	async close(): Promise<void> {
		for (const connection of this.#connections) connection.close();
		await this.#cluster.close();
	}

	#cpuMs(): number {
		let ticks = 0;
		for (const { pid } of this.#cluster.replicas) {
			// After the name, which may have spaces: user and system time are fields 14 and 15 of the line.
			const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
			ticks += Number(fields[11]) + Number(fields[12]);
		}
		return (ticks / TICKS_PER_SECOND) * 1000;
	}
}

async function measure(loads: Record<Mode, Load>, rounds: number, roundMs: number): Promise<Record<Kind, Sample[]>> {
	const samples: Record<Kind, Sample[]> = { writes: [], reads: [] };
	for (const kind of KINDS) for (const load of Object.values(loads)) await load.run(kind, WARM_UP_MS);
	// Many short rounds: what else happens on the machine changes within seconds.
	for (let i = 0; i < rounds; i++) {
		for (const kind of KINDS) {
			// Who goes first takes turns, too.
			const order: readonly Mode[] = i % 2 === 0 ? ['on', 'off'] : ['off', 'on'];
			const round: Partial<Record<Mode, Round>> = {};
			for (const mode of order) round[mode] = await loads[mode].run(kind, roundMs);
			samples[kind].push(round as Sample);
		}
	}
	return samples;
}

const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

function quantile(values: readonly number[], at: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length * at)] ?? 0;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function figuresOf(rounds: readonly Round[]) {
	const tookMs = rounds.flatMap((round) => round.tookMs);
	return {
		operationsPerSecond: Math.round(
			quantile(
				rounds.map((round) => round.operationsPerSecond),
				0.5,
			),
		),
		p50Ms: rounded(quantile(tookMs, 0.5), 2),
		p99Ms: rounded(quantile(tookMs, 0.99), 2),
		cpuMsPerOperation: rounded(sum(rounds.map(({ cpuMs }) => cpuMs)) / tookMs.length, 4),
		failed: sum(rounds.map(({ failed }) => failed)),
	};
}

/** `ratio` is the median over the rounds: of throughput with sessions to that without, right before or after. */
function resultOf(samples: readonly Sample[]) {
	const [on, off] = [figuresOf(samples.map((sample) => sample.on)), figuresOf(samples.map((sample) => sample.off))];
	const ratios = samples.map((sample) => sample.on.operationsPerSecond / sample.off.operationsPerSecond);
	return {
		on,
		off,
		ratio: rounded(quantile(ratios, 0.5)),
		cpuRatio: rounded(on.cpuMsPerOperation / off.cpuMsPerOperation),
	};
}

const { values: options } = parseArgs({
	options: {
		rounds: { type: 'string', default: '40' },
		seconds: { type: 'string', default: '0.7' },
		data: { type: 'string', default: '/dev/shm' },
	},
});
const directory = mkdtempSync(join(tmpdir(), 'bench-kv-sessions-'));
const loads: Partial<Record<Mode, Load>> = {};
try {
	for (const mode of ['on', 'off'] as const) {
		loads[mode] = await Load.start(await build(mode, directory), options.data);
	}
	const [rounds, roundMs] = [Number(options.rounds), Number(options.seconds) * 1000];
	const samples = await measure(loads as Record<Mode, Load>, rounds, roundMs);
	const [writes, reads] = [resultOf(samples.writes), resultOf(samples.reads)];
	for (const [kind, { on, off, ratio, cpuRatio }] of Object.entries({ writes, reads })) {
		for (const [mode, figures] of Object.entries({ on, off })) {
			console.log(
				`${kind}, sessions ${mode.padEnd(3)} ${figures.operationsPerSecond}/s, p50 ${figures.p50Ms} ms, ` +
					`p99 ${figures.p99Ms} ms, ${figures.cpuMsPerOperation} ms of processor each in the replicas`,
			);
		}
		console.log(`${kind}: ${ratio} of the throughput, ${cpuRatio} times the processor`);
	}
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
	const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
	const setting = { inFlight: IN_FLIGHT, valueBytes: VALUE_BYTES, data: options.data, rounds, roundMs };
	console.log(
		JSON.stringify({ bench: 'kv-sessions', ...setting, writes, reads, machine, node: process.version, commit }),
	);
} finally {
	for (const load of Object.values(loads)) await load.close();
	rmSync(directory, { recursive: true });
}
