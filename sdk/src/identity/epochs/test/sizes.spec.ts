import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
	type EpochMember,
	type EpochRecord,
	LIMITS,
	type RecordCid,
	SLOTS_MAX,
	type SlotGen,
	type WorkloadId,
} from '../../../wire/index.ts';
import { cidOf, createKeyPair } from '../../keys.ts';
import { assembleRecord, peekRecord } from '../../records.ts';
import { NOW_MS, refused } from '../../test/fixtures.ts';
import { HISTORY_BYTES_MAX, History } from '../history.ts';

const cid = cidOf(new Uint8Array(1));

function epochOf(members: number, vacant = 0): EpochRecord {
	const member = (slot: number): EpochMember => ({
		...{ slot, gen: 2 ** 32, incarnation: 2 ** 32, certCid: cid, sigKeyId: new Uint8Array(32) },
	});
	const gone = (slot: number): SlotGen => ({ slot, gen: 2 ** 32 });
	return {
		...{ wid: cid as string as WorkloadId, era: Number.MAX_SAFE_INTEGER, e: Number.MAX_SAFE_INTEGER, prev: cid },
		members: Array.from({ length: members }, (_, slot) => member(slot)),
		vacant: Array.from({ length: vacant }, (_, i) => gone(SLOTS_MAX - vacant + i)),
		...{ groupKeyCommit: new Uint8Array(32), ts: NOW_MS },
	};
}

function envelopeOf(body: EpochRecord, signatures: number): Uint8Array {
	const s = createKeyPair().sign(new Uint8Array(1));
	return assembleRecord(
		'epoch',
		body,
		Array.from({ length: signatures }, (_, i) => ({ k: new Uint8Array(32).fill(i), s })),
	);
}

describe('sizes of epochs', () => {
	it('1,024 members with 16 signatures fit into 256 KiB', () => {
		const envelope = envelopeOf(epochOf(SLOTS_MAX), LIMITS.signersMax);
		expect(envelope.byteLength).to.be.lessThan(LIMITS.epochBytesMax);
		expect(peekRecord('epoch', envelope).body.members).to.have.length(SLOTS_MAX);
		expect(envelopeOf(epochOf(0, SLOTS_MAX), 16).byteLength).to.be.lessThan(LIMITS.epochBytesMax);
	});

	it('64 members with 15 signatures fit into 64 KiB', () => {
		expect(envelopeOf(epochOf(64), 15).byteLength).to.be.lessThan(64 * 1024);
	});

	it('above 256 KiB, or with more members than slots, there is none', () => {
		refused('invalid_input', () => peekRecord('epoch', new Uint8Array(LIMITS.epochBytesMax + 1)));
		const { members } = epochOf(SLOTS_MAX);
		expect(() => envelopeOf({ ...epochOf(0), members: [...members, ...members] }, 1)).to.throw();
	});
});

describe('what is remembered', () => {
	const base = peekRecord('epoch', envelopeOf({ ...epochOf(0), e: 7 }, 1));
	/** An epoch of a megabyte, as far as memory is concerned. */
	const step = (e: number, bytes: number) => ({
		record: { ...base, body: { ...base.body, e }, cid: `epoch ${e}` as RecordCid, envelope: new Uint8Array(bytes) },
		signerCerts: [],
	});
	const none = { members: [], certOf: () => undefined };

	it('is 32 MiB at most; the oldest epochs of the members are forgotten, the head and the owner’s never', () => {
		const steps = Array.from({ length: 40 }, (_, i) => step(8 + i, 1024 * 1024));
		const history = History.of(base, steps, none);
		expect(history.sizeBytes).to.be.within(HISTORY_BYTES_MAX - 1024 * 1024, HISTORY_BYTES_MAX);
		expect(history.head.body.e).to.equal(47);
		expect(history.has(47, 'epoch 47' as RecordCid)).to.equal(true);
		expect(history.has(7, base.cid)).to.equal(true);
		expect(history.has(8, 'epoch 8' as RecordCid)).to.equal(false);
		refused('exhausted', () => history.linksSince(-1));
		refused('exhausted', () => history.linksSince(7));
		const longer = history.continued(47, [step(48, 1)], none);
		expect(longer.head.body.e).to.equal(48);
		expect(longer.has(47, 'epoch 47' as RecordCid)).to.equal(true);
	});

	it('is 4,096 epochs at most', () => {
		const history = History.of(
			base,
			Array.from({ length: LIMITS.epochLinksMax + 1 }, (_, i) => step(8 + i, 1)),
			none,
		);
		expect(history.has(8, 'epoch 8' as RecordCid)).to.equal(false);
		expect(history.has(9, 'epoch 9' as RecordCid)).to.equal(true);
	});
});
