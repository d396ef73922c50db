import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import { contextOf, gateOf } from '../core/key-schedule.ts';
import { decodeM1 } from '../core/messages.ts';
import { RecordSplitter } from '../index.ts';
import { ALICE, BOB, Pair, PROTOCOL } from './handshakes.ts';

const SEED = 20261121;
const CASES = 6_000;

/** xorshift32: the same cases in every run. */
function random(): (below: number) => number {
	let state = SEED;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

function noise(length: number, below: (n: number) => number): Uint8Array {
	return Uint8Array.from({ length }, () => below(256));
}

function mutate(bytes: Uint8Array, below: (n: number) => number): Uint8Array {
	const at = below(bytes.byteLength);
	switch (below(6)) {
		case 0:
			return Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ (1 << below(8)) : byte));
		case 1:
			return bytes.slice(0, at);
		case 2:
			return new Uint8Array(Buffer.concat([bytes.subarray(0, at), noise(1 + below(40), below), bytes.subarray(at)]));
		case 3:
			return new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(40))]));
		case 4:
			return Uint8Array.from(bytes, (byte, i) => (i >= at && i < at + 4 ? 0xff : byte));
		default:
			return Uint8Array.from(bytes, (byte, i) => (i === at ? below(256) : byte));
	}
}

describe(`mutations (seed ${SEED})`, function () {
	this.timeout(60_000);

	it('of any message are refused, by a check and not by an accident', () => {
		const below = random();
		const pair = new Pair({ limits: { totalPerSecond: 1e9, cookiePending: 1e9 } });
		let changed = 0;
		for (let n = 0; n < CASES / 10; n++) {
			const victim = below(4);
			pair.alice.config.tickets.clear();
			let isChanged = false;
			const run = pair.run((message, index) => {
				if (index !== victim) return message;
				const mutated = mutate(message, below);
				isChanged = Buffer.compare(mutated, message) !== 0;
				return mutated;
			});
			if (!isChanged) continue;
			changed++;
			const judge = victim % 2 === 0 ? run.responder : run.initiator;
			expect(judge.established, `case ${n}, M${victim + 1}`).to.equal(undefined);
			expect(judge.error?.message, `case ${n}, M${victim + 1}`).to.not.match(/the handshake failed/);
		}
		expect(changed).to.be.greaterThan(CASES / 20);
	});

	it('of M1 by somebody who has the pre-shared key end in a refusal, an M2 of no use, or a clear error', () => {
		const below = random();
		const pair = new Pair({ limits: { totalPerSecond: 1e9, cookiePending: 1e9 } });
		const context = contextOf(PROTOCOL, ALICE, BOB);
		const [m1] = pair.initiator().start() as [Uint8Array];
		const { gated } = decodeM1(m1);
		let answered = 0;
		for (let n = 0; n < CASES; n++) {
			const mutated = mutate(gated, below);
			const responder = pair.responder();
			const gate = gateOf(pair.bob.crypto, pair.mesh.psk, context, mutated);
			const answers = responder.receive(new Uint8Array(Buffer.concat([mutated, gate])));
			if (answers.length > 0) answered++;
			else expect(responder.error?.message, `case ${n}`).to.not.match(/the handshake failed/);
			expect(responder.established).to.equal(undefined);
		}
		// Nonces, epochs and keys may be anything.
		expect(answered).to.be.within(1, CASES - 1);
	});

	it('of records never make the splitter accept what is none, or fail otherwise than by refusal', () => {
		const below = random();
		for (let n = 0; n < CASES; n++) {
			const splitter = new RecordSplitter();
			const bytes = noise(4 + below(200), below);
			if (below(2) === 0) bytes.set([below(4), below(4), 0, 16 + below(60)], 0);
			try {
				for (let at = 0; at < bytes.byteLength; ) {
					const step = 1 + below(50);
					for (const record of splitter.split(bytes.subarray(at, at + step))) {
						expect(record.sealed.byteLength).to.be.within(16, 65_532);
						expect(record.type).to.be.within(0, 2);
					}
					at += step;
				}
			} catch (error) {
				expect(isMeshError(error, 'unauthorized'), `case ${n}: ${error}`).to.equal(true);
			}
		}
	});
});
