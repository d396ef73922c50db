import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { PeerId } from '../../../wire/ids.ts';
import type { Pending } from '../core/index.ts';
import { HandshakeGuard, resolveLimits } from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';
import { Pair } from './handshakes.ts';

describe('handshake limits', () => {
	/** One handshake up to M2, as a peer does that goes no further. */
	function half(pair: Pair, address?: string): string {
		const responder = pair.responder({}, address);
		const answers = responder.receive(pair.initiator().start()[0] as Uint8Array);
		return responder.alert ?? (answers[0]?.[4] === 5 ? 'retry' : 'M2');
	}

	it('allow 5 a second from one address, and more as time goes by', () => {
		const pair = new Pair({ limits: { cookiePending: 1e9, totalPerSecond: 1e6 } });
		const at = (): string => half(pair, '192.0.2.1');
		expect(Array.from({ length: 7 }, at)).to.deep.equal([...Array(5).fill('M2'), 'busy', 'busy']);
		expect(half(pair, '192.0.2.2')).to.equal('M2');
		expect(half(pair), 'loopback').to.equal('M2');
		pair.nowMs += 200;
		expect([at(), at()]).to.deep.equal(['M2', 'busy']);
	});

	it('allow 50 a second in all', () => {
		const pair = new Pair({ limits: { cookiePending: 1e9, pendingMax: 1e9, totalPerSecond: 50 } });
		const outcomes: string[] = [];
		for (let i = 0; i < 80; i++) {
			const initiator = pair.initiator();
			const responder = pair.responder();
			// Half way the rate asks for cookies, which honest peers bring.
			const run = pair.run(undefined, { initiator, responder });
			outcomes.push(run.responder.alert ?? (run.responder.established === undefined ? 'none' : 'session'));
		}
		expect(outcomes.filter((outcome) => outcome === 'session')).to.have.length(50);
		expect(outcomes.filter((outcome) => outcome === 'busy')).to.have.length(30);
	});

	it('ask for a cookie from the 17th pending handshake on, and do no X-Wing before it comes', () => {
		const pair = new Pair();
		for (let i = 0; i < 16; i++) expect(half(pair)).to.equal('M2');
		const before = pair.bob.crypto.counts.kem;
		expect(half(pair)).to.equal('retry');
		expect(pair.bob.crypto.counts.kem).to.equal(before);
		const run = pair.run();
		expect(run.messages, 'M1, RETRY, M1, M2, M3, M4').to.have.length(6);
		expect(run.responder.established?.peer.principal).to.equal('alice');
	});

	it('take a cookie for the same peer, the same M1 and two minutes at most', () => {
		const pair = new Pair({ limits: { cookiePending: 0 } });
		const attempt = (options: { laterMs?: number; remote?: PeerId; change?: boolean }): string => {
			const initiator = pair.initiator();
			const first = pair.responder();
			const [retry] = first.receive(initiator.start()[0] as Uint8Array) as [Uint8Array];
			const source = options.change === true ? pair.initiator() : initiator;
			if (options.change === true) source.start();
			const [m1] = source.receive(retry) as [Uint8Array];
			pair.nowMs += options.laterMs ?? 0;
			const answers = pair.responder(options.remote === undefined ? {} : { remote: options.remote }).receive(m1);
			return answers.length === 0 ? 'refused' : answers[0]?.[4] === 5 ? 'retry' : 'M2';
		};
		expect(attempt({})).to.equal('M2');
		expect(attempt({ laterMs: 59_000 })).to.equal('M2');
		expect(attempt({ laterMs: 120_000 })).to.equal('retry');
		expect(attempt({ change: true })).to.equal('retry');
		expect(attempt({ remote: 'someone else' as PeerId })).to.equal('refused');
	});

	it('refuse a second RETRY, and a second M1 without the cookie', () => {
		const pair = new Pair({ limits: { cookiePending: 0 } });
		const initiator = pair.initiator();
		const responder = pair.responder();
		const [m1] = initiator.start() as [Uint8Array];
		const [retry] = responder.receive(m1) as [Uint8Array];
		responder.receive(m1);
		expect(responder.error?.code).to.equal('unauthorized');
		initiator.receive(retry);
		initiator.receive(retry);
		expect(initiator.error?.code).to.equal('unauthorized');
	});

	it('keep 1,000 half-open handshakes to 64, and let a good peer in', () => {
		const guard = new HandshakeGuard(nodeCrypto, resolveLimits());
		let evicted = 0;
		const begin = (hasPassedGate = false): boolean => {
			const pending: Pending = { address: undefined, hasPassedGate, evict: () => evicted++ };
			return guard.begin(pending);
		};
		for (let i = 0; i < 1_000; i++) expect(begin()).to.equal(true);
		expect(guard.pendingCount).to.equal(64);
		expect(evicted).to.equal(936);
		expect(begin(), 'the good peer').to.equal(true);
		// Places of those who know the pre-shared key are not taken away.
		const full = new HandshakeGuard(nodeCrypto, resolveLimits({ pendingMax: 2 }));
		const known = { address: undefined, hasPassedGate: true, evict: () => expect.fail('evicted') };
		expect(full.begin({ ...known })).to.equal(true);
		expect(full.begin({ ...known })).to.equal(true);
		expect(full.begin({ ...known })).to.equal(false);
	});

	it('bound what they remember of addresses', () => {
		const pair = new Pair({ limits: { cookiePending: 1e9, totalPerSecond: 1e9, pendingMax: 1e9 } });
		const m1 = { nonce: randomBytes(32), cookie: new Uint8Array(0), cookieless: new Uint8Array(8) };
		for (let i = 0; i < 10_000; i++) {
			const pending: Pending = { address: `192.0.2.${i}`, hasPassedGate: false, evict: () => undefined };
			const admission = pair.guard.admissionOf(pending, `${i}`);
			const fresh = { ...m1, nonce: randomBytes(32) };
			expect(admission.admit(fresh as never, pair.nowMs)).to.equal('go');
		}
	});
});
