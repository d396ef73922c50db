/**
 * Data through sessions for hours' worth of rekeys: every byte compared, every nonce watched. Both directions at once over
 * one stream in memory. Usage: npm run bench -- session-soak [--gib 100] [--phase-mib 256]
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { MemoryStream } from '../sdk/src/streams/memory/pair.ts';
import { type SecureStream, Sessions, secureStream } from '../sdk/src/streams/session/index.ts';
import { createTestMesh } from '../sdk/src/streams/session/test/identities.ts';
import { NonceWatch } from '../sdk/src/streams/session/test/nonces.ts';
import type { PeerId } from '../sdk/src/wire/ids.ts';

const { values } = parseArgs({
	options: { gib: { type: 'string', default: '4' }, 'phase-mib': { type: 'string', default: '16' } },
});
const totalBytes = Number(values.gib) * 2 ** 30;
const rekey = { phaseBytes: Number(values['phase-mib']) * 2 ** 20 };
const protocol = '/bench/soak/1';
const [ALICE, BOB] = ['alice' as PeerId, 'bob' as PeerId];

// The byte at position n is that of the pattern at n modulo a prime: a lost or doubled byte shifts all that follow.
const PERIOD = 1_048_573;
const pattern = randomBytes(PERIOD);
const twice = Buffer.concat([pattern, pattern]);
const WRITE_BYTES = 200_003;

function at(position: number, length: number): Buffer {
	const from = position % PERIOD;
	return twice.subarray(from, from + length);
}

async function send(stream: SecureStream<string>, bytes: number): Promise<void> {
	for (let sent = 0; sent < bytes; sent += WRITE_BYTES) {
		if (!stream.write(at(sent, Math.min(WRITE_BYTES, bytes - sent)))) await stream.drained();
		phases = alice.sessions.sessions()[0]?.phase ?? phases;
	}
	await stream.close();
}

/** Bytes received; throws at the first that is not the one sent. */
async function receive(stream: SecureStream<string>): Promise<number> {
	let position = 0;
	for await (const chunk of stream.source) {
		if (Buffer.compare(chunk, at(position, chunk.byteLength)) !== 0) throw new Error(`differs after ${position} bytes`);
		position += chunk.byteLength;
	}
	return position;
}

let phases = 0;
const mesh = createTestMesh();
const watch = new NonceWatch();
const make = (name: string, self: PeerId) => {
	const identity = mesh.issue(name, self);
	return { identity, self, sessions: new Sessions({ identity, self, rekey }, { crypto: watch.crypto }) };
};
const [alice, bob] = [make('alice', ALICE), make('bob', BOB)];
const [a, b] = MemoryStream.pair();
const [near, far] = await Promise.all([
	secureStream(a, { role: 'initiator', protocol, remote: BOB, ...alice }),
	secureStream(b, { role: 'responder', protocol, remote: ALICE, ...bob }),
]);
const startMs = performance.now();
const half = totalBytes / 2;
const [there, back] = await Promise.all([receive(far), receive(near), send(near, half), send(far, half)]);
const seconds = (performance.now() - startMs) / 1000;
const result = {
	bench: 'session-soak',
	gib: Number(values.gib),
	lostBytes: half - there + (half - back),
	reusedNonces: watch.reused,
	records: watch.sealed,
	keys: watch.keys,
	phases,
	mibPerSecond: Math.round(totalBytes / 2 ** 20 / seconds),
	machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
	node: process.version,
	commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
};
console.log(
	`${result.gib} GiB over ${phases} rekeys: ${result.lostBytes} bytes lost or doubled, ${result.reusedNonces} nonces reused, ` +
		`${result.mibPerSecond} MiB/s`,
);
console.log(JSON.stringify(result));
process.exitCode = result.lostBytes === 0 && result.reusedNonces === 0 ? 0 : 1;
