/**
 * The cryptographic suite, operation by operation, on both backends: the JavaScript one is the rival. One signer's key
 * is parsed once and then remembered, as between peers; `verify new` is the first signature of a signer. Then what
 * sessions make of it: handshakes, records, rekeys (bench/session.ts, which also measures traffic).
 * Usage: npm run bench -- crypto
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import {
	createSuite,
	javascriptBackend,
	nativeBackend,
	type PqBackend,
	SIZES,
} from '../sdk/src/identity/suite/index.ts';
import { cryptography } from './session.ts';

const MESSAGE_BYTES = 1024;
const WARM_UP_ROUNDS = 20;
const MEASURED_MS = 1_000;
// Whose signatures "verify new" meets, each for the first time.
const SIGNERS = 64;

interface Figures {
	readonly medianUs: number;
	readonly p99Us: number;
}

/** Runs for a second; `round` is given a number that grows by one. */
function measure(round: (n: number) => unknown): Figures {
	for (let n = 0; n < WARM_UP_ROUNDS; n++) round(n);
	const tookUs: number[] = [];
	const endMs = performance.now() + MEASURED_MS;
	for (let startMs = performance.now(); startMs < endMs; ) {
		round(tookUs.length);
		const nowMs = performance.now();
		tookUs.push((nowMs - startMs) * 1000);
		startMs = nowMs;
	}
	tookUs.sort((a, b) => a - b);
	const at = (quantile: number): number => Math.round(tookUs[Math.floor(tookUs.length * quantile)] ?? 0);
	return { medianUs: at(0.5), p99Us: at(0.99) };
}

function primitives(backend: PqBackend): Record<string, Figures> {
	const suite = createSuite(backend);
	const message = randomBytes(MESSAGE_BYTES);
	const [info, aad] = [randomBytes(32), randomBytes(32)];
	const key = suite.createSigningKey(randomBytes(SIZES.seed));
	const signature = key.sign(message, info);
	const strangers = Array.from({ length: SIGNERS }, () => {
		const stranger = suite.createSigningKey(randomBytes(SIZES.seed));
		return { publicKey: stranger.publicKey, signature: stranger.sign(message, info) };
	});
	const kemKey = suite.createKemKey(randomBytes(SIZES.kemSeed));
	const { ciphertext } = suite.encapsulate(kemKey.publicKey);
	const sealed = suite.seal(kemKey.publicKey, info, aad, message);
	return {
		sign: measure(() => key.sign(message, info)),
		verify: measure(() => suite.verify(key.publicKey, message, signature, info)),
		'verify new': measureNew(backend, strangers, message, info),
		encapsulate: measure(() => suite.encapsulate(kemKey.publicKey)),
		decapsulate: measure(() => kemKey.decapsulate(ciphertext)),
		seal: measure(() => suite.seal(kemKey.publicKey, info, aad, message)),
		open: measure(() => suite.open(kemKey, info, aad, sealed)),
	};
}

/** A suite that has seen none of the signers, made anew before it meets one of them again. */
function measureNew(
	backend: PqBackend,
	signers: readonly { publicKey: Uint8Array; signature: Uint8Array }[],
	message: Uint8Array,
	context: Uint8Array,
): Figures {
	let fresh = createSuite(backend);
	return measure((n) => {
		if (n % signers.length === 0) fresh = createSuite(backend);
		const signer = signers[n % signers.length];
		if (signer === undefined || !fresh.verify(signer.publicKey, message, signer.signature, context)) {
			throw new Error('a signature does not verify');
		}
	});
}

const results: Record<string, Record<string, Figures>> = {};
for (const backend of nativeBackend === undefined ? [javascriptBackend] : [nativeBackend, javascriptBackend]) {
	const figures = primitives(backend);
	results[backend.name] = figures;
	for (const [name, { medianUs, p99Us }] of Object.entries(figures)) {
		console.log(`${backend.name.padEnd(10)} ${name.padEnd(11)} median ${medianUs} µs, p99 ${p99Us} µs`);
	}
}
const session = await cryptography();
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
const versions = { node: process.version, openssl: process.versions.openssl };
console.log(
	JSON.stringify({ bench: 'crypto', messageBytes: MESSAGE_BYTES, ...results, session, machine, ...versions, commit }),
);
