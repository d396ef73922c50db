/**
 * Unary calls of 1 KiB between two processes, 1 and 64 in flight: typed calls over QUIC (sessions, encoding,
 * validation, deadlines included), beside the floor in the same run: node:tls with hand-made frames and nothing else.
 * Usage: npm run bench -- rpc
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { contract, createRpcNode, type HelloExchange, rpc, type Transport } from '@beemesh/sdk/streams';
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import * as v from 'valibot';
import { memberOf } from '../sdk/src/streams/test/remote-peer.ts';

const PAYLOAD_BYTES = 1024;
const WARM_UP_MS = 1_000;
const MEASURED_MS = 3_000;
const PROTOCOL = '/bench/rpc/1.0.0';
const Echo = contract('echo', '1.0.0', {
	say: rpc({ input: v.instance(Uint8Array), output: v.instance(Uint8Array) }),
});
const exchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };

interface Figures {
	readonly callsPerSecond: number;
	readonly p50Ms: number;
	readonly p99Ms: number;
}

type Call = (payload: Uint8Array) => Promise<unknown>;

async function measure(call: Call, inFlight: number): Promise<Figures> {
	const payload = randomBytes(PAYLOAD_BYTES);
	const run = async (durationMs: number): Promise<number[]> => {
		const tookMs: number[] = [];
		const endMs = performance.now() + durationMs;
		const worker = async (): Promise<void> => {
			for (let startMs = performance.now(); startMs < endMs; ) {
				await call(payload);
				const nowMs = performance.now();
				tookMs.push(nowMs - startMs);
				startMs = nowMs;
			}
		};
		await Promise.all(Array.from({ length: inFlight }, worker));
		return tookMs;
	};
	await run(WARM_UP_MS);
	const tookMs = (await run(MEASURED_MS)).sort((a, b) => a - b);
	const at = (quantile: number): number => Number((tookMs[Math.floor(tookMs.length * quantile)] ?? 0).toFixed(3));
	return { callsPerSecond: Math.round((tookMs.length / MEASURED_MS) * 1000), p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Length-prefixed frames with an id: the least that lets calls share a socket. */
function onFrames(socket: TLSSocket, on: (id: number, body: Buffer) => void): void {
	let rest: Buffer = Buffer.alloc(0);
	socket.on('data', (chunk: Buffer) => {
		rest = rest.byteLength === 0 ? chunk : Buffer.concat([rest, chunk]);
		let at = 0;
		while (rest.byteLength - at >= 8) {
			const length = rest.readUInt32BE(at);
			if (rest.byteLength - at - 8 < length) break;
			on(rest.readUInt32BE(at + 4), rest.subarray(at + 8, at + 8 + length));
			at += 8 + length;
		}
		rest = rest.subarray(at);
	});
}

/** Frames of one turn leave in one write, as ours do. */
function sender(socket: TLSSocket): (id: number, body: Uint8Array) => void {
	let batch: Uint8Array[] = [];
	return (id, body) => {
		const head = Buffer.allocUnsafe(8);
		head.writeUInt32BE(body.byteLength, 0);
		head.writeUInt32BE(id, 4);
		if (batch.length === 0) {
			setImmediate(() => {
				socket.write(Buffer.concat(batch));
				batch = [];
			});
		}
		batch.push(head, body);
	};
}

async function member(root: Uint8Array, listen: string[]): Promise<Transport> {
	const seed = randomBytes(32);
	return (await createLibp2pNode({ seed, listen, session: memberOf(root, seed) })).transport;
}

async function serve(directory: string, root: string): Promise<void> {
	const transport = await member(Buffer.from(root, 'hex'), ['/ip4/127.0.0.1/udp/0/quic-v1']);
	const node = createRpcNode({ transport, protocol: PROTOCOL, exchange });
	node.services.serve(Echo, { say: (bytes) => bytes });
	const server = createServer(tlsFiles(directory), (socket) => {
		socket.setNoDelay(true);
		const send = sender(socket);
		onFrames(socket, send);
		socket.on('error', () => socket.destroy());
	});
	server.listen(0, '127.0.0.1', () => {
		const address = server.address();
		if (address === null || typeof address === 'string') throw new Error('no TCP address');
		console.log(JSON.stringify({ peer: transport.peerId, addresses: transport.addresses(), port: address.port }));
	});
}

function tlsFiles(directory: string): { key: Buffer; cert: Buffer } {
	return { key: readFileSync(join(directory, 'key.pem')), cert: readFileSync(join(directory, 'cert.pem')) };
}

async function overTls(directory: string, port: number): Promise<{ call: Call; close: () => void }> {
	const socket = connect({ host: '127.0.0.1', port, ca: tlsFiles(directory).cert, servername: 'localhost' });
	await once(socket, 'secureConnect');
	socket.setNoDelay(true);
	const waiting = new Map<number, (body: Uint8Array) => void>();
	let nextId = 0;
	onFrames(socket, (id, body) => {
		waiting.get(id)?.(body);
		waiting.delete(id);
	});
	const send = sender(socket);
	const call: Call = (payload) =>
		new Promise((resolve) => {
			nextId = (nextId + 1) >>> 0;
			waiting.set(nextId, resolve);
			send(nextId, payload);
		});
	return { call, close: () => socket.destroy() };
}

async function startServer(directory: string, root: Buffer): Promise<{ child: ChildProcess; ready: Ready }> {
	const args = ['--conditions=source', fileURLToPath(import.meta.url), 'serve', directory, root.toString('hex')];
	const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
	if (child.stdout === null) throw new Error('no stdout');
	const [line] = (await once(child.stdout, 'data')) as [Buffer];
	return { child, ready: JSON.parse(String(line)) as Ready };
}

interface Ready {
	readonly peer: Parameters<ReturnType<typeof createRpcNode>['connect']>[0];
	readonly addresses: readonly string[];
	readonly port: number;
}

async function main(): Promise<void> {
	const directory = mkdtempSync(join(tmpdir(), 'bench-rpc-'));
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost'];
	const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')];
	execFileSync('openssl', ['req', '-x509', ...key, '-addext', 'subjectAltName=DNS:localhost', ...files], {
		stdio: 'ignore',
	});
	const root = randomBytes(64);
	const { child, ready } = await startServer(directory, root);
	try {
		const transport = await member(root, []);
		const node = createRpcNode({ transport, protocol: PROTOCOL, exchange });
		const session = await node.connect(ready.peer, { addresses: ready.addresses });
		const { say } = session.caller(Echo);
		const tls = await overTls(directory, ready.port);
		const results: Record<string, Figures> = {};
		for (const inFlight of [1, 64]) {
			results[`quic${inFlight}`] = await measure((payload) => say(payload as Uint8Array<ArrayBuffer>), inFlight);
			results[`tls${inFlight}`] = await measure(tls.call, inFlight);
		}
		for (const [name, { callsPerSecond, p50Ms, p99Ms }] of Object.entries(results)) {
			console.log(`${name.padEnd(8)} ${callsPerSecond} calls/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
		}
		tls.close();
		await node[Symbol.asyncDispose]();
		await transport[Symbol.asyncDispose]();
		const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
		const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
		console.log(
			JSON.stringify({ bench: 'rpc', payloadBytes: PAYLOAD_BYTES, ...results, machine, node: process.version, commit }),
		);
	} finally {
		child.kill();
		rmSync(directory, { recursive: true });
	}
}

if (process.argv[2] === 'serve') await serve(process.argv[3] ?? '', process.argv[4] ?? '');
else await main();
