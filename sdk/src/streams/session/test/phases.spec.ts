import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type PhaseEffect, Phases, type RekeyLimits, type Role, resolveRekey } from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';

const SECRET = new Uint8Array(32).fill(1);
const MINUTE_MS = 60_000;
const MIB = 2 ** 20;

/** Two sides, with the control records that are on their way. */
class Sides {
	readonly initiator: Phases;
	readonly responder: Phases;
	readonly wire: { readonly to: Role; readonly payload: Uint8Array; readonly phase: number }[] = [];
	readonly log: string[] = [];
	nowMs = 0;
	failures = 0;

	constructor(limits: RekeyLimits = {}) {
		const make = (role: Role): Phases => new Phases(nodeCrypto, resolveRekey(limits), role, SECRET.slice(), 0);
		this.initiator = make('initiator');
		this.responder = make('responder');
	}

	perform(by: Role, effects: readonly PhaseEffect[]): void {
		const to = by === 'initiator' ? 'responder' : 'initiator';
		const phases = this[by];
		for (const effect of effects) {
			this.log.push(`${by} ${effect.type === 'install' ? `install ${effect.phase}` : effect.type}`);
			if (effect.type === 'control') this.wire.push({ to, payload: effect.payload, phase: phases.sendPhase });
			// As the driver does: each phase is announced on the control stream.
			if (effect.type === 'switch') this.wire.push({ to, payload: new Uint8Array(0), phase: phases.sendPhase });
			if (effect.type === 'fail') this.failures++;
		}
	}

	deliver(): boolean {
		const next = this.wire.shift();
		if (next === undefined) return false;
		const { to, payload, phase } = next;
		this.perform(to, this[to].peerWritesIn(phase, this.nowMs));
		if (payload.byteLength > 0) this.perform(to, this[to].control(payload, phase, this.nowMs));
		return true;
	}

	settle(): void {
		while (this.deliver());
	}

	sends(by: Role, bytes: number): void {
		const to = by === 'initiator' ? 'responder' : 'initiator';
		const phase = this[by].sendPhase;
		this.perform(by, this[by].sent(bytes, this.nowMs));
		this.perform(to, this[to].received(phase, bytes, this.nowMs));
	}

	tick(laterMs: number): void {
		this.nowMs += laterMs;
		this.perform('initiator', this.initiator.tick(this.nowMs));
		this.perform('responder', this.responder.tick(this.nowMs));
	}
}

describe('rekeying', () => {
	it('happens after 60 minutes, and nobody writes in a phase that the other cannot read yet', () => {
		const sides = new Sides();
		sides.tick(60 * MINUTE_MS - 1);
		expect(sides.log).to.deep.equal([]);
		expect(sides.initiator.nextDeadlineMs()).to.equal(60 * MINUTE_MS);
		sides.tick(1);
		sides.settle();
		expect(sides.log).to.deep.equal([
			'initiator control',
			'responder control',
			'responder install 1',
			'responder control',
			'initiator install 1',
			'initiator control',
			'initiator switch',
			'responder switch',
		]);
		expect(sides.initiator.sendSecret).to.deep.equal(sides.responder.sendSecret);
		expect(sides.initiator.sendSecret).to.not.deep.equal(SECRET);
		expect(sides.initiator.sendPhase).to.equal(1);
	});

	it('happens after 1 GiB, whoever sent it', () => {
		for (const by of ['initiator', 'responder'] as const) {
			const sides = new Sides();
			sides.sends(by, 1024 * MIB - 1);
			sides.settle();
			expect(sides.initiator.sendPhase).to.equal(0);
			sides.sends(by, 1);
			sides.settle();
			expect([sides.initiator.sendPhase, sides.responder.sendPhase], by).to.deep.equal([1, 1]);
			expect(sides.initiator.sendableBytes).to.equal(1025 * MIB);
		}
	});

	it('goes on for ever, with a new secret each time', () => {
		const sides = new Sides({ phaseBytes: 100, graceBytes: 50 });
		const seen = new Set<string>();
		for (let i = 0; i < 600; i++) {
			sides.sends(i % 3 === 0 ? 'responder' : 'initiator', 100);
			sides.settle();
			seen.add(sides.initiator.sendSecret.join());
		}
		expect(sides.failures).to.equal(0);
		expect(seen.size).to.equal(600);
		// Old secrets are forgotten.
		expect(sides.initiator.secrets.size).to.be.below(300);
		sides.tick(11 * MINUTE_MS);
		expect(sides.initiator.secrets.size).to.equal(1);
	});

	it('forgets the secret of an old phase ten minutes after, and wipes it', () => {
		const sides = new Sides({ phaseBytes: 100 });
		const first = sides.initiator.sendSecret;
		sides.sends('initiator', 100);
		sides.settle();
		sides.tick(10 * MINUTE_MS - 1);
		expect(sides.initiator.secrets.has(0)).to.equal(true);
		sides.tick(1);
		expect(sides.initiator.secrets.has(0)).to.equal(false);
		expect(first.every((byte) => byte === 0)).to.equal(true);
	});

	it('withheld by the responder, the initiator or in part ends the session after 61 minutes', () => {
		for (const delivered of [0, 1, 2]) {
			const sides = new Sides();
			sides.tick(60 * MINUTE_MS);
			for (let i = 0; i < delivered; i++) sides.deliver();
			sides.wire.length = 0;
			sides.tick(MINUTE_MS - 1);
			expect(sides.failures, `${delivered} delivered`).to.equal(0);
			sides.tick(1);
			expect(sides.failures, `${delivered} delivered`).to.be.greaterThan(0);
		}
	});

	it('withheld stops data at 1 GiB + 1 MiB, on both sides', () => {
		const sides = new Sides();
		sides.sends('initiator', 1024 * MIB);
		sides.wire.length = 0;
		expect(sides.initiator.sendableBytes).to.equal(MIB);
		sides.sends('initiator', MIB);
		expect(sides.initiator.sendableBytes).to.equal(0);
		expect(sides.failures).to.equal(0);
		sides.perform('responder', sides.responder.received(0, 1, sides.nowMs));
		expect(sides.failures).to.equal(1);
	});

	it('refuses limits that would hold a writer back before it asked', () => {
		expect(() => resolveRekey({ graceBytes: 19 })).to.throw(/graceBytes is 19; a record takes 20/);
	});

	it('refuses messages out of turn, in the wrong phase, or of the wrong side', () => {
		const attempt = (step: (sides: Sides, payload: Uint8Array) => unknown): void => {
			const sides = new Sides();
			sides.tick(60 * MINUTE_MS);
			const rekey = sides.wire[0]?.payload as Uint8Array;
			expect(() => step(sides, rekey)).to.throw();
			expect(sides.responder.sendPhase).to.equal(0);
		};
		attempt((sides, rekey) => sides.initiator.control(rekey, 0, 0));
		attempt((sides, rekey) => {
			sides.responder.control(rekey, 0, 0);
			sides.responder.control(rekey, 0, 0);
		});
		attempt((sides, rekey) =>
			sides.responder.control(
				Uint8Array.from(rekey, (b, i) => (i === 4 ? 2 : b)),
				0,
				0,
			),
		);
		attempt((sides, rekey) => sides.responder.control(rekey.slice(0, -1), 0, 0));
		attempt((sides, rekey) => sides.responder.control(Uint8Array.of(...rekey, 0), 0, 0));
		attempt((sides) => sides.responder.control(Uint8Array.of(3, 0, 0, 0, 1), 1, 0));
		attempt((sides) => sides.responder.control(Uint8Array.of(9, 0, 0, 0, 1), 0, 0));
		attempt((sides) => sides.responder.control(new Uint8Array(0), 0, 0));
		attempt((sides, rekey) => {
			// SWITCH in the old phase: the sender would not have proved that it has the new one.
			sides.responder.control(rekey, 0, 0);
			sides.responder.control(Uint8Array.of(3, 0, 0, 0, 1), 0, 0);
		});
	});
});
