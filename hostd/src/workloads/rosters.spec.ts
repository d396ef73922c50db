import { LIMITS } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { asAnswer, rostersOf } from './rosters.ts';

const MIB = 1024 * 1024;

describe('rosters in one answer', () => {
	const pod = (bytes: number, keptAtMs: number) => ({ roster: { sealed: new Uint8Array(bytes), keptAtMs } });

	it('are the newest first, of those that have one', () => {
		const sizes = rostersOf([pod(1, 10), { roster: undefined }, pod(2, 30), pod(3, 20)]).map((r) => r.byteLength);
		expect(sizes).to.deep.equal([2, 3, 1]);
	});

	it('fit into one message, however long they are', () => {
		const largest = LIMITS.messageBytesMax - 64 * 1024;
		expect(rostersOf([pod(largest, 1), pod(largest, 2)])).to.have.length(1);
		expect(asAnswer(Array.from({ length: 5 }, () => new Uint8Array(MIB)))).to.have.length(3);
		expect(asAnswer(Array.from({ length: 20 }, () => new Uint8Array(9)))).to.have.length(16);
	});
});
