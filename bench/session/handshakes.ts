/**
 * Handshakes of BMS/1, both sides in one process: on first contact, with certificates known, and resumed. Prints what
 * they take and how many bytes they send, as JSON. Arguments: bytes of a certificate, about.
 */
import { setTimeout } from 'node:timers/promises';
import { MemoryStream } from '../../sdk/src/streams/memory/pair.ts';
import { Sessions, secureStream } from '../../sdk/src/streams/session/index.ts';
import { createTestMesh, type TestIdentity } from '../../sdk/src/streams/session/test/identities.ts';
import type { PeerId } from '../../sdk/src/wire/ids.ts';
import { type Cpu, cpuMs, type Quantiles, quantiles } from './cpu.ts';

const HANDSHAKES = 1_000;
/** Until the compiler has seen enough. */
const WARM_UP = 1_000;
const PROTOCOL = '/bench/handshake/1';
const [ALICE, BOB] = ['alice' as PeerId, 'bob' as PeerId];
const UNLIMITED = { totalPerSecond: 1e9, cookiePending: 1e9, pendingMax: 1e9 };
/** Between handshakes, as there is between peers: the collector's work then falls where it falls in a daemon. */
const BREATH_MS = 4;

export type Handshakes = Record<string, Quantiles & { readonly bytes: number }>;

async function handshakes(certificateBytes: number): Promise<Handshakes> {
	const mesh = createTestMesh({ certificateBytes });
	const known = { alice: mesh.issue('alice', ALICE), bob: mesh.issue('bob', BOB) };
	const kept = sessionsOf(known.alice, known.bob);
	const results: Handshakes = {};
	for (const kind of ['first contact', 'certificates known', 'resumed'] as const) {
		const took: Cpu[] = [];
		let bytes = 0;
		const isFirst = kind === 'first contact';
		// Keys and certificates that neither side has seen. Made before, and not collected between: after a collection that is
		// asked for, V8 compiles anew what it had compiled.
		const count = HANDSHAKES + WARM_UP;
		const strangers = Array.from({ length: isFirst ? count : 0 }, () => ({
			alice: mesh.issue('alice', ALICE),
			bob: mesh.issue('bob', BOB),
		}));
		for (let i = 0; i < count; i++) {
			await setTimeout(BREATH_MS);
			const { alice, bob } = strangers.pop() ?? known;
			const sides = isFirst ? sessionsOf(alice, bob) : kept;
			if (!isFirst) forget(kept, kind === 'certificates known');
			const [a, b] = counted((n) => {
				if (i === HANDSHAKES) bytes += n;
			});
			const cpu = await cpuMs(async () => {
				await Promise.all([
					secureStream(a, {
						role: 'initiator',
						identity: alice,
						protocol: PROTOCOL,
						remote: BOB,
						sessions: sides.alice,
					}),
					secureStream(b, { role: 'responder', identity: bob, protocol: PROTOCOL, remote: ALICE, sessions: sides.bob }),
				]);
			});
			const isResumed = sides.bob.sessions().at(-1)?.isResumed ?? false;
			if (i > 0 && isResumed !== (kind === 'resumed')) throw new Error(`${kind}: resumed is ${isResumed}`);
			a.abort(new Error('measured'));
			if (isFirst) forget(sides, true);
			if (i >= WARM_UP) took.push(cpu);
		}
		results[kind] = { ...quantiles(took), bytes };
	}
	return results;
}

function sessionsOf(alice: TestIdentity, bob: TestIdentity) {
	return {
		alice: new Sessions({ identity: alice, self: ALICE, limits: UNLIMITED }),
		bob: new Sessions({ identity: bob, self: BOB, limits: UNLIMITED }),
	};
}

/** Ends what is open; with its tickets, when the next handshake is to be a full one. */
function forget({ alice, bob }: ReturnType<typeof sessionsOf>, tickets: boolean): void {
	if (tickets) for (const sessions of [alice, bob]) sessions.end();
}

function counted(count: (bytes: number) => void): [MemoryStream, MemoryStream] {
	const pair = MemoryStream.pair();
	for (const stream of pair) {
		const write = stream.write.bind(stream);
		stream.write = (chunk) => {
			count(chunk.byteLength);
			return write(chunk);
		};
	}
	return pair;
}

console.log(JSON.stringify(await handshakes(Number(process.argv[2]))));
