/**
 * The session BMS/1: CPU of a handshake (both sides together, in one process) on first contact, with certificates known,
 * and resumed; bytes on the wire; records of 64 KiB; a rekey; and calls and bulk over QUIC with sessions and without, the
 * latter being the rival in the same run. Certificates have 7.2 KB. Usage: npm run bench -- session
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contract, createRpcNode, type HelloExchange, rpc } from '@beemesh/sdk/streams';
import * as v from 'valibot';
import { bundle } from '../scripts/bundle.ts';
import { assembleNode, peerIdFromSeed } from '../sdk/src/streams/libp2p/node.ts';
import { plainWire } from '../sdk/src/streams/libp2p/test/plain-wire.ts';
import { secureWire } from '../sdk/src/streams/libp2p/wire.ts';
import {
	type PhaseEffect,
	Phases,
	PLAINTEXT_BYTES_MAX,
	RECORD,
	ReceiveLane,
	RecordSplitter,
	resolveRekey,
	SendLane,
	SUITES,
} from '../sdk/src/streams/session/core/index.ts';
import { nodeCrypto } from '../sdk/src/streams/session/crypto.ts';
import { Sessions } from '../sdk/src/streams/session/index.ts';
import { createTestMesh } from '../sdk/src/streams/session/test/identities.ts';
import type { Transport } from '../sdk/src/streams/transport.ts';
import type { PeerId } from '../sdk/src/wire/ids.ts';
import { type Cpu, cpuMs, type Quantiles, quantiles } from './session/cpu.ts';
import type { Handshakes } from './session/handshakes.ts';

/** A replica's. A machine's has 6,833 from the root, and 16,105 when an enroller has renewed it. */
const CERTIFICATE_BYTES = 7_200;
const REKEYS = 600;
/** Until the compiler has seen enough. */
const WARM_UP = 300;
const MEASURED_MS = 2_000;
const PROTOCOL = '/bench/session/1';

/** All that needs no network, told and returned. */
export async function cryptography() {
	const handshake = await handshakes();
	for (const [kind, { p50Ms, p99Ms, ownP99Ms, bytes }] of Object.entries(handshake)) {
		const p99 = `p99 ${p99Ms} ms (${ownP99Ms} without V8's threads)`;
		console.log(`handshake, ${kind.padEnd(18)} p50 ${p50Ms} ms, ${p99} CPU of both sides, ${bytes} bytes`);
	}
	const record = await records();
	for (const [name, { seal, open, both }] of Object.entries(record)) {
		console.log(`records of 64 KiB, ${name.padEnd(17)} seal ${seal}, open ${open}, both ${both} MiB/s a core`);
	}
	const rekey = await rekeys();
	console.log(`rekey: p50 ${rekey.p50Ms} ms, p99 ${rekey.p99Ms} ms CPU of both sides`);
	const measured = 'processor time of both sides together; of all threads, own… of the thread that does the work';
	return { certificateBytes: CERTIFICATE_BYTES, measured, handshake, record, rekey };
}

/**
 * In a process of its own, bundled and with a young generation as small as the daemon's: what V8 marks and moves beside
 * a handshake is then what handshakes leave behind.
 */
async function handshakes(): Promise<Handshakes> {
	const out = mkdtempSync(join(tmpdir(), 'beemesh-bench-'));
	try {
		await bundle(join(import.meta.dirname, 'session/handshakes.ts'), out);
		const args = ['--max-semi-space-size=1', join(out, 'main.mjs'), String(CERTIFICATE_BYTES)];
		const output = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
		return JSON.parse(output) as Handshakes;
	} finally {
		rmSync(out, { recursive: true, force: true });
	}
}

/** MiB/s of plaintext on one core. */
async function records() {
	const results: Record<string, { seal: number; open: number; both: number }> = {};
	const secret = randomBytes(32);
	const plaintext = randomBytes(PLAINTEXT_BYTES_MAX);
	const lane = { opener: 'initiator', number: 1, writer: 'initiator' } as const;
	for (const [name, suite] of Object.entries(SUITES)) {
		const batch = 256;
		let [sealMs, openMs, sealedBytes] = [0, 0, 0];
		for (const endMs = performance.now() + MEASURED_MS; performance.now() < endMs; ) {
			const sender = new SendLane(nodeCrypto, suite, lane);
			const receiver = new ReceiveLane(nodeCrypto, suite, lane, new Map([[0, secret]]));
			const splitter = new RecordSplitter();
			const sealed: Uint8Array[] = [];
			const sealing = await cpuMs(() => {
				for (let i = 0; i < batch; i++) sealed.push(sender.seal(0, secret, RECORD.data, plaintext));
			});
			const opening = await cpuMs(() => {
				for (const bytes of sealed) for (const record of splitter.split(bytes)) receiver.open(record);
			});
			sealMs += sealing.all;
			openMs += opening.all;
			sealedBytes += batch * plaintext.byteLength;
		}
		const rate = (ms: number): number => Math.round(sealedBytes / 2 ** 20 / (ms / 1000));
		results[name] = { seal: rate(sealMs), open: rate(openMs), both: rate(sealMs + openMs) };
	}
	return results;
}

/** CPU of a change of phase, both sides together. */
async function rekeys(): Promise<Quantiles> {
	const make = (role: 'initiator' | 'responder'): Phases =>
		new Phases(nodeCrypto, resolveRekey({ phaseBytes: 1 }), role, new Uint8Array(32), 0);
	const [initiator, responder] = [make('initiator'), make('responder')];
	const controls = (effects: readonly PhaseEffect[]): Uint8Array[] =>
		effects.flatMap((effect) => (effect.type === 'control' ? [effect.payload] : []));
	const took: Cpu[] = [];
	for (let phase = 0; phase < REKEYS; phase++) {
		took.push(
			await cpuMs(() => {
				const [request] = controls(initiator.sent(1, 0));
				const [answer] = controls(responder.control(request as Uint8Array, phase, 0));
				const [done] = controls(initiator.control(answer as Uint8Array, phase, 0));
				responder.control(done as Uint8Array, phase + 1, 0);
				initiator.peerWritesIn(phase + 1, 0);
			}),
		);
	}
	return quantiles(took.slice(WARM_UP));
}

const Echo = contract('echo', '1.0.0', {
	say: rpc({ input: v.instance(Uint8Array), output: v.instance(Uint8Array) }),
});
const exchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };
const BULK = '/bench/bulk/1';

/** The switch between sessions and none: it is here and nowhere else. */
async function openNode(mode: string, root: Uint8Array, listen: readonly string[]): Promise<Transport> {
	const seed = randomBytes(32);
	const self = peerIdFromSeed(seed);
	const mesh = createTestMesh({ rootSeed: root, psks: [root.subarray(0, 32)], certificateBytes: CERTIFICATE_BYTES });
	const wire = mode === 'plain' ? plainWire() : secureWire(new Sessions({ identity: mesh.issue('bench', self), self }));
	return (await assembleNode({ seed, listen }, wire)).transport;
}

async function serve(mode: string, root: Uint8Array): Promise<void> {
	const transport = await openNode(mode, root, ['/ip4/127.0.0.1/udp/0/quic-v1']);
	const node = createRpcNode({ transport, protocol: PROTOCOL, exchange });
	node.services.serve(Echo, { say: (bytes) => bytes });
	transport.handle(BULK, async (stream) => {
		let bytes = 0;
		for await (const chunk of stream.source) bytes += chunk.byteLength;
		stream.write(Buffer.from(String(bytes)));
		await stream.close();
	});
	console.log(JSON.stringify({ peer: transport.peerId, addresses: transport.addresses() }));
}

interface Traffic {
	readonly calls1PerSecond: number;
	readonly calls64PerSecond: number;
	readonly bulkMibPerSecond: number;
}

async function traffic(mode: string): Promise<Traffic> {
	const root = randomBytes(64);
	const { child, peer, addresses } = await startServer(mode, root);
	const transport = await openNode(mode, root, []);
	const node = createRpcNode({ transport, protocol: PROTOCOL, exchange });
	try {
		const session = await node.connect(peer, { addresses });
		const { say } = session.caller(Echo);
		const payload = new Uint8Array(randomBytes(1024));
		const rate = async (inFlight: number): Promise<number> => {
			let calls = 0;
			const run = async (ms: number): Promise<void> => {
				const endMs = performance.now() + ms;
				const worker = async (): Promise<void> => {
					for (; performance.now() < endMs; calls++) await say(payload);
				};
				await Promise.all(Array.from({ length: inFlight }, worker));
			};
			await run(500);
			calls = 0;
			await run(MEASURED_MS);
			return Math.round(calls / (MEASURED_MS / 1000));
		};
		const [calls1PerSecond, calls64PerSecond] = [await rate(1), await rate(64)];
		return { calls1PerSecond, calls64PerSecond, bulkMibPerSecond: await bulk(transport, peer) };
	} finally {
		await node[Symbol.asyncDispose]();
		await transport[Symbol.asyncDispose]();
		child.kill();
		await once(child, 'exit');
	}
}

async function bulk(transport: Transport, peer: PeerId): Promise<number> {
	const chunk = randomBytes(256 * 1024);
	const total = 256 * 2 ** 20;
	const startMs = performance.now();
	const stream = await transport.dial(peer, BULK);
	for (let sent = 0; sent < total; sent += chunk.byteLength) if (!stream.write(chunk)) await stream.drained();
	await stream.close();
	let answer = '';
	for await (const part of stream.source) answer += Buffer.from(part).toString();
	if (answer !== String(total)) throw new Error(`${answer} bytes came of ${total}`);
	return Math.round(total / 2 ** 20 / ((performance.now() - startMs) / 1000));
}

async function startServer(
	mode: string,
	root: Uint8Array,
): Promise<{ child: ChildProcess; peer: PeerId; addresses: readonly string[] }> {
	const file = fileURLToPath(import.meta.url);
	const args = ['--conditions=source', file, 'serve', mode, Buffer.from(root).toString('hex')];
	const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
	if (child.stdout === null) throw new Error('no stdout');
	const [line] = (await once(child.stdout, 'data')) as [Buffer];
	return { child, ...(JSON.parse(String(line)) as { peer: PeerId; addresses: readonly string[] }) };
}

async function main(): Promise<void> {
	const figures = await cryptography();
	const over: Record<string, Traffic> = {};
	for (const mode of ['plain', 'sessions']) {
		const rates = await traffic(mode);
		over[mode] = rates;
		console.log(
			`QUIC, ${mode.padEnd(8)} 1 KiB calls: ${rates.calls1PerSecond}/s one at a time, ${rates.calls64PerSecond}/s ` +
				`64 in flight; bulk ${rates.bulkMibPerSecond} MiB/s`,
		);
	}
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
	const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
	const facts = { machine, node: process.version, commit };
	console.log(JSON.stringify({ bench: 'session', ...figures, over, ...facts }));
}

if (!import.meta.main) {
	// Its parts are in use by bench/crypto.ts.
} else if (process.argv[2] === 'serve') await serve(process.argv[3] ?? '', Buffer.from(process.argv[4] ?? '', 'hex'));
else await main();
