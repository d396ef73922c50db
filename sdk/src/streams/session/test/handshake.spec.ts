import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { PeerId } from '../../../wire/ids.ts';
import { SUITES, Tickets } from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';
import { ALICE, BOB, countingCrypto, type Machine, Pair, PROTOCOL } from './handshakes.ts';
import { createTestMesh } from './identities.ts';

const AES = SUITES['aes-256-gcm'];
const CHACHA = SUITES['chacha20-poly1305'];

function expectSession({ initiator, responder }: { initiator: Machine; responder: Machine }): void {
	expect(initiator.error ?? responder.error).to.equal(undefined);
	expect(initiator.established?.peer.principal).to.equal('bob');
	expect(responder.established?.peer.principal).to.equal('alice');
	expect(initiator.established?.phaseSecret).to.deep.equal(responder.established?.phaseSecret);
}

/** Nobody got a session, and whoever gave up has said so in one of the two ways. */
function expectNone(machines: { initiator: Machine; responder: Machine }, code = 'unauthorized'): void {
	const { initiator, responder } = machines;
	expect(responder.established, 'responder').to.equal(undefined);
	const error = responder.error ?? initiator.error;
	expect(error).to.include({ code, applied: 'no' });
}

describe('handshake BMS/1', () => {
	it('gives both sides one secret and each the other’s certificate, in less than 25 KB', () => {
		// What is left for a certificate: X-Wing takes 2.3 KB, two signatures 6.7 KB, all the rest 0.4 KB.
		const run = new Pair({ mesh: createTestMesh({ certificateBytes: 7_700 }) }).run();
		expectSession(run);
		expect(run.messages).to.have.length(4);
		const bytes = run.messages.reduce((sum, message) => sum + message.byteLength + 2, 0);
		expect(bytes).to.be.below(25_000);
	});

	it('takes the responder’s first cipher that the initiator offers', () => {
		for (const [offered, chosen] of [
			[[AES, CHACHA], AES],
			[[CHACHA, AES], AES],
			[[CHACHA], CHACHA],
			[[AES], AES],
		] as const) {
			const run = new Pair({ alice: { suites: offered } }).run();
			expectSession(run);
			expect(run.initiator.established?.suite).to.equal(chosen);
			expect(run.responder.established?.suite).to.equal(chosen);
		}
	});

	it('does not send a certificate again that the other side has', () => {
		const pair = new Pair();
		pair.run();
		const initiator = pair.initiator({ remembered: pair.bob.identity.certificate().cid, tickets: new Tickets() });
		const responder = pair.responder({ remembered: pair.alice.identity.certificate().cid });
		const again = pair.run(undefined, { initiator, responder });
		expectSession(again);
		const bytes = again.messages.reduce((sum, message) => sum + message.byteLength, 0);
		expect(bytes).to.be.below(10_500);
	});

	it('sends the whole certificate when the one remembered is no longer ours', () => {
		const pair = new Pair();
		const old = pair.mesh.issue('bob', BOB);
		pair.alice.identity.verify(old.certificate().bytes, BOB);
		expectSession(pair.run(undefined, { initiator: pair.initiator({ remembered: old.certificate().cid }) }));
	});

	it('works during a rotation of the pre-shared key, whoever has heard of the new one', () => {
		const [older, newer] = [randomBytes(32), randomBytes(32)];
		const states = { before: [older], during: [newer, older], after: [newer] };
		for (const [alices, alice] of Object.entries(states)) {
			for (const [bobs, bob] of Object.entries(states)) {
				const pair = new Pair();
				pair.alice.identity.currentPsks = alice;
				pair.bob.identity.currentPsks = bob;
				if (alice.some((psk) => bob.includes(psk))) expectSession(pair.run());
				else expectNone(pair.run());
				expect(pair.alice.crypto.counts.hmac, `${alices}, ${bobs}`).to.be.greaterThan(0);
			}
		}
	});
});

describe('handshake gate', () => {
	it('refuses another pre-shared key, plane or domain before any asymmetric operation', () => {
		const mesh = createTestMesh();
		const strangers = {
			'pre-shared key': new Pair({ mesh }),
			plane: new Pair({ mesh }),
			domain: new Pair({ mesh }),
		};
		strangers['pre-shared key'].alice.identity.currentPsks = [randomBytes(32)];
		const other = createTestMesh({ plane: 'work', psks: [mesh.psk] }).issue('alice', ALICE);
		const elsewhere = createTestMesh({ psks: [mesh.psk] }).issue('alice', ALICE);
		for (const [what, pair] of Object.entries(strangers)) {
			const changes = what === 'plane' ? { identity: other } : what === 'domain' ? { identity: elsewhere } : {};
			const run = pair.run(undefined, { initiator: pair.initiator(changes) });
			expectNone(run);
			expect(run.responder.alert, what).to.equal('gate');
			expect(pair.bob.crypto.counts, what).to.include({ kem: 0, aead: 0 });
			expect(pair.bob.identity.verifications).to.equal(0);
			expect(run.messages, 'one message, no answer').to.have.length(1);
		}
	});

	it('refuses an M1 made for another peer or protocol', () => {
		for (const changes of [
			{ remote: 'someone else' as PeerId },
			{ self: 'someone else' as PeerId },
			{ protocol: '/test/other/1' },
		]) {
			const pair = new Pair();
			const run = pair.run(undefined, { initiator: pair.initiator(changes) });
			expectNone(run);
			expect(pair.bob.crypto.counts.kem).to.equal(0);
		}
	});

	it('refuses another version, and says so', () => {
		const pair = new Pair();
		const run = pair.run((message, index) => {
			const changed = message.slice();
			if (index === 0) changed[3] = 2;
			return changed;
		});
		expect(run.responder.alert).to.equal('version');
		expect(run.responder.error?.message).to.match(/BMS\/2 is spoken, BMS\/1 is needed/);
		expect(pair.bob.crypto.counts.kem).to.equal(0);
	});

	it('refuses unknown ciphers after the gate, and says so', () => {
		const pair = new Pair({ alice: { suites: [77 as typeof AES] } });
		const run = pair.run();
		expectNone(run);
		expect(run.responder.alert).to.equal('suite');
		expect(pair.bob.crypto.counts.kem).to.equal(0);
	});

	it('notices a stripped cipher: the list is under the gate', () => {
		const pair = new Pair();
		const run = pair.run((message, index) => {
			if (index !== 0) return message;
			// magic(4) type(1) length(1) suites(2): leave the weaker one alone, were there a weaker one.
			const stripped = Buffer.concat([message.subarray(0, 5), Buffer.from([1, CHACHA]), message.subarray(8)]);
			return new Uint8Array(stripped);
		});
		expectNone(run);
		expect(run.responder.alert).to.equal('gate');
	});

	it('says that a responder has no certificate yet', () => {
		const pair = new Pair();
		pair.bob.identity.isEnrolled = false;
		const run = pair.run();
		expect(run.responder).to.deep.include({ alert: 'unready', established: undefined });
		expect(run.responder.error?.code).to.equal('unavailable');
		expect(pair.bob.crypto.counts.kem).to.equal(0);
	});

	it('does not even send M1 without a certificate or pre-shared key of our own', () => {
		for (const take of ['certificate', 'psk']) {
			const pair = new Pair();
			if (take === 'psk') pair.alice.identity.currentPsks = [];
			else pair.alice.identity.isEnrolled = false;
			const { messages, initiator } = pair.run();
			expect(messages).to.have.length(0);
			expect(initiator.error?.code).to.equal(take === 'psk' ? 'unauthorized' : 'unavailable');
		}
	});
});

describe('handshake under attack', function () {
	this.timeout(60_000);

	it('refuses a flipped bit anywhere in M1 to M4', () => {
		const lengths = new Pair().run().messages.map((message) => message.byteLength);
		for (const [index, length] of lengths.entries()) {
			// All of what is structure, and a sample of long opaque parts.
			for (let at = 0; at < length; at += at < 120 || length - at < 60 ? 1 : 211) {
				const pair = PAIRS.take();
				const run = pair.run((message, i) => {
					if (i !== index) return message;
					const changed = message.slice();
					changed[at] = (changed[at] as number) ^ (1 << (at % 8));
					return changed;
				});
				const victim = index % 2 === 0 ? run.responder : run.initiator;
				expect(victim.established, `M${index + 1}, byte ${at}`).to.equal(undefined);
				expect(victim.error, `M${index + 1}, byte ${at}`).to.include({ code: 'unauthorized' });
				// The attempt left nothing behind that a later one could use.
				expect(pair.bob.identity.known('nothing')).to.equal(undefined);
			}
		}
	});

	it('refuses every truncation, and trailing bytes', () => {
		const lengths = new Pair().run().messages.map((message) => message.byteLength);
		for (const [index, length] of lengths.entries()) {
			for (const cut of [0, 1, 4, 5, 6, 40, 100, 1_200, length - 17, length - 1, length + 1]) {
				const run = PAIRS.take().run((message, i) => {
					if (i !== index) return message;
					return cut <= length ? message.slice(0, cut) : new Uint8Array([...message, 0]);
				});
				const victim = index % 2 === 0 ? run.responder : run.initiator;
				expect(victim.established, `M${index + 1} cut to ${cut}`).to.equal(undefined);
				expect(victim.error?.code).to.equal('unauthorized');
			}
		}
	});

	it('refuses reflection: M1 and M2 sent back to their senders', () => {
		const pair = new Pair();
		const initiator = pair.initiator();
		const [m1] = initiator.start() as [Uint8Array];
		initiator.receive(m1);
		expect(initiator.error?.code).to.equal('unauthorized');
		const second = new Pair();
		const responder = second.responder();
		const [m2] = responder.receive(second.initiator().start()[0] as Uint8Array) as [Uint8Array];
		responder.receive(m2);
		expect(responder.error?.code).to.equal('unauthorized');
	});

	it('refuses a peer that answers itself where no peer IDs tell', () => {
		const pair = new Pair();
		const identity = pair.mesh.issue('alice', undefined);
		const alone = { identity, self: undefined, remote: undefined };
		const run = pair.run(undefined, { initiator: pair.initiator(alone), responder: pair.responder(alone) });
		expect(run.initiator.established).to.equal(undefined);
		expect(run.responder.established).to.equal(undefined);
	});

	it('refuses swapped roles: what the responder sealed is not what an initiator seals', () => {
		const pair = new Pair();
		const responder = pair.responder();
		const [m2] = responder.receive(pair.initiator().start()[0] as Uint8Array) as [Uint8Array];
		const asM3 = m2.slice();
		asM3[4] = 3;
		responder.receive(asM3);
		expect(responder.error?.code).to.equal('unauthorized');
		expect(responder.established).to.equal(undefined);
	});

	it('refuses a handshake relayed by somebody in the middle', () => {
		const pair = new Pair();
		const mallory = '12D3KooWMallory' as PeerId;
		// Alice believes to speak with Mallory; he hands everything on to Bob, who sees Mallory's connection.
		const initiator = pair.initiator({ remote: mallory });
		const responder = pair.responder({ remote: mallory });
		const run = pair.run(undefined, { initiator, responder });
		expectNone(run);
		expect(run.responder.alert).to.equal('gate');
	});

	it('refuses a certificate that names another peer, is expired, or of another root', () => {
		const mesh = createTestMesh();
		const forged = createTestMesh({ psks: [mesh.psk] });
		const stolen = forged.issue('alice', ALICE);
		const impostor = { ...mesh.issue('alice', ALICE), certificate: stolen.certificate, sign: stolen.sign };
		const cases = {
			'another peer': mesh.issue('alice', BOB),
			expired: mesh.issue('alice', ALICE, { exp: Date.now() - 1 }),
			'our root': impostor,
		};
		for (const [why, identity] of Object.entries(cases)) {
			const pair = new Pair({ mesh });
			const run = pair.run(undefined, { initiator: pair.initiator({ identity }) });
			// Alice sees Bob's M2 and sends M3; Bob refuses her.
			expectNone(run);
			expect(run.initiator.established, 'no session before M4').to.equal(undefined);
			expect(run.responder.alert, why).to.equal('certificate');
			expect(run.responder.error?.message).to.contain(why === 'our root' ? 'not of our root' : why);
		}
	});

	it('sends nothing of ours to a responder whose certificate is refused', () => {
		const mesh = createTestMesh();
		const pair = new Pair({ mesh });
		mesh.revoke(pair.bob.identity);
		const run = pair.run();
		expect(run.initiator.alert).to.equal('certificate');
		expect(run.messages, 'M1 and M2').to.have.length(2);
	});

	it('refuses a signature over another transcript, or by another key', () => {
		const pair = new Pair();
		const other = pair.mesh.issue('alice', ALICE);
		for (const sign of [
			(message: Uint8Array) => pair.alice.identity.sign(Uint8Array.from(message, (b, i) => (i === 70 ? b ^ 1 : b))),
			(message: Uint8Array) => other.sign(message),
			() => new Uint8Array(3373),
			() => new Uint8Array(0),
		]) {
			const identity = { ...pair.alice.identity, sign };
			const run = pair.run(undefined, { initiator: pair.initiator({ identity }) });
			expectNone(run);
			expect(run.responder.alert).to.equal('failed');
		}
	});

	it('refuses a replayed M1 without a second X-Wing, and M3 in any other handshake', () => {
		const pair = new Pair();
		const { messages } = pair.run();
		const [m1, , m3] = messages as [Uint8Array, Uint8Array, Uint8Array];
		const before = pair.bob.crypto.counts.kem;
		const replayed = pair.responder();
		expect(replayed.receive(m1)).to.deep.equal([]);
		expect(replayed.error?.code).to.equal('unauthorized');
		expect(pair.bob.crypto.counts.kem).to.equal(before);
		const other = pair.responder();
		other.receive(pair.initiator().start()[0] as Uint8Array);
		other.receive(m3);
		expect(other.established).to.equal(undefined);
		const twice = pair.responder();
		twice.receive(m3);
		expect(twice.error?.code).to.equal('unauthorized');
	});

	it('refuses a KEM key that is not reduced, or of low order, with the same generic error', () => {
		for (const spoil of [(key: Uint8Array) => key.fill(0xff, 0, 1_184), (key: Uint8Array) => key.fill(0, 1_184)]) {
			const crypto = countingCrypto({
				createEphemeralKey: () => {
					const key = nodeCrypto.createEphemeralKey();
					return { publicKey: spoil(key.publicKey.slice()), decapsulate: (c) => key.decapsulate(c) };
				},
			});
			const pair = new Pair();
			const run = pair.run(undefined, { initiator: pair.initiator({ crypto }) });
			expectNone(run);
			expect(run.responder.alert).to.equal('failed');
			expect(run.responder.error?.message).to.match(/does not verify$/);
		}
	});

	it('binds the protocol into the keys even when the gate is passed', () => {
		expect(PROTOCOL).to.not.equal('');
		const pair = new Pair();
		const first = pair.run();
		const second = pair.run();
		expect(first.initiator.established?.phaseSecret).to.not.deep.equal(second.initiator.established?.phaseSecret);
	});
});

describe('resumption', () => {
	const resumed = ({ initiator, responder }: { initiator: Machine; responder: Machine }): (boolean | undefined)[] => [
		initiator.established?.isResumed,
		responder.established?.isResumed,
	];

	it('skips certificates and signatures, once', () => {
		const pair = new Pair();
		expect(resumed(pair.run())).to.deep.equal([false, false]);
		const second = pair.run();
		expectSession(second);
		expect(resumed(second)).to.deep.equal([true, true]);
		expect(second.messages.reduce((sum, { byteLength }) => sum + byteLength, 0)).to.be.below(3_000);
	});

	it('gives a fresh secret each time, and a ticket for the next', () => {
		const pair = new Pair();
		const secrets = Array.from({ length: 4 }, () => pair.run().initiator.established?.phaseSecret?.join());
		expect(new Set(secrets).size).to.equal(4);
	});

	it('does not work a second time: a copied ticket gives a full handshake', () => {
		const pair = new Pair();
		pair.run();
		const stolen = new Tickets();
		const take = pair.alice.config.tickets.takeHeld(BOB, 1, pair.nowMs);
		if (take === undefined) throw new Error('no ticket');
		const copy = { ...take, id: take.id.slice(), secret: take.secret.slice() };
		const again = { ...take, id: take.id.slice(), secret: take.secret.slice() };
		stolen.hold(copy, pair.nowMs);
		expect(resumed(pair.run(undefined, { initiator: pair.initiator({ tickets: stolen }) }))).to.deep.equal([
			true,
			true,
		]);
		stolen.clear();
		stolen.hold(again, pair.nowMs);
		const run = pair.run(undefined, { initiator: pair.initiator({ tickets: stolen }) });
		expect(resumed(run)).to.deep.equal([false, false]);
	});

	it('ends after ten minutes, and with the epoch', () => {
		const late = new Pair();
		late.run();
		late.nowMs += 10 * 60_000;
		expect(resumed(late.run())).to.deep.equal([false, false]);
		const changed = new Pair();
		changed.run();
		changed.alice.identity.currentEpoch++;
		expect(resumed(changed.run()), 'initiator changed').to.deep.equal([false, false]);
		changed.bob.identity.currentEpoch += 2;
		expect(resumed(changed.run()), 'responder changed').to.deep.equal([false, false]);
		const inTime = new Pair();
		inTime.run();
		inTime.nowMs += 10 * 60_000 - 1;
		expect(resumed(inTime.run())).to.deep.equal([true, true]);
	});

	it('is refused to a peer that was revoked since, on either side', () => {
		for (const who of ['alice', 'bob'] as const) {
			const pair = new Pair();
			pair.run();
			pair.mesh.revoke(pair[who].identity);
			const run = pair.run();
			const judge = who === 'alice' ? run.responder : run.initiator;
			expect(judge.established).to.equal(undefined);
			expect(judge.alert).to.equal('certificate');
		}
	});

	it('is of one peer: another that names the ticket gets a full handshake, and does not use it up', () => {
		const pair = new Pair();
		const mallory = '12D3KooWMallory' as PeerId;
		pair.run();
		const ticket = pair.alice.config.tickets.takeHeld(BOB, 1, pair.nowMs);
		if (ticket === undefined) throw new Error('no ticket');
		const id = ticket.id.slice();
		const mine = new Tickets();
		mine.hold({ ...ticket, id, secret: randomBytes(32) }, pair.nowMs);
		pair.alice.config.tickets.hold(ticket, pair.nowMs);
		const identity = pair.mesh.issue('mallory', mallory);
		identity.verify(pair.bob.identity.certificate().bytes, BOB);
		const run = pair.run(undefined, {
			initiator: pair.initiator({ identity, self: mallory, tickets: mine }),
			responder: pair.responder({ remote: mallory }),
		});
		expect(resumed(run)).to.deep.equal([false, false]);
		expect(resumed(pair.run())).to.deep.equal([true, true]);
	});
});

/** Pairs are costly to make (three composite keys); those under attack never resume, and share one mesh. */
const PAIRS = {
	mesh: undefined as ReturnType<typeof createTestMesh> | undefined,
	made: [] as Pair[],
	take(): Pair {
		this.mesh ??= createTestMesh();
		const [made] = this.made;
		const pair = made ?? new Pair({ mesh: this.mesh, limits: { totalPerSecond: 1e9, cookiePending: 1e9 } });
		if (made === undefined) this.made.push(pair);
		pair.alice.config.tickets.clear();
		pair.bob.config.tickets.clear();
		return pair;
	},
};
