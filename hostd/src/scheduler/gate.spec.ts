import { createKeyPair, createPeerKey } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createTenderGate } from './gate.ts';
import { createWorkload } from './test/workload.ts';

const requester = createPeerKey().peerId as MachineId;
const slots = [{ slot: 0, gen: 1 }];

describe('tender gate', () => {
	it('lets a tender in once', () => {
		const gate = createTenderGate({ startedAtMs: 0 });
		const workload = createWorkload();
		const envelope = workload.sign(workload.tender(requester, slots));
		expect(gate.admit(envelope, undefined, Date.now()).verdict).to.equal('accept');
		expect(gate.admit(envelope, undefined, Date.now()).verdict).to.equal('ignore');
	});

	it('accepts ±30.000 s and not ±30.001 s', () => {
		const workload = createWorkload();
		const body = workload.tender(requester, slots);
		for (const [offMs, verdict] of [
			[30_000, 'accept'],
			[-30_000, 'accept'],
			[30_001, 'ignore'],
			[-30_001, 'ignore'],
		] as const) {
			const envelope = workload.sign({ ...body, exp: body.ts + 60_000 });
			expect(
				createTenderGate({ startedAtMs: 0 }).admit(envelope, undefined, body.ts + offMs).verdict,
				`${offMs} ms`,
			).to.equal(verdict);
		}
	});

	it('takes nothing signed before this host started', () => {
		const workload = createWorkload();
		const body = workload.tender(requester, slots);
		expect(
			createTenderGate({ startedAtMs: body.ts + 1 }).admit(workload.sign(body), undefined, body.ts + 2).verdict,
		).to.equal('ignore');
	});

	it('rejects each flipped byte and each cut, and remains ready for the true one', function () {
		this.timeout(30_000);
		const gate = createTenderGate({ startedAtMs: 0 });
		const workload = createWorkload();
		const body = workload.tender(requester, slots);
		const envelope = workload.sign(body);
		const nowMs = body.ts;
		for (let i = 0; i < envelope.byteLength; i += 3) {
			const flipped = envelope.slice();
			flipped[i] = (flipped[i] as number) ^ 0x01;
			expect(gate.admit(flipped, undefined, nowMs).verdict, `byte ${i}`).to.not.equal('accept');
			expect(gate.admit(envelope.subarray(0, i), undefined, nowMs).verdict, `cut at ${i}`).to.equal('reject');
		}
		expect(gate.admit(new Uint8Array([...envelope, 0]), undefined, nowMs).verdict).to.equal('reject');
		expect(gate.admit(new Uint8Array(65_537), undefined, nowMs).verdict).to.equal('reject');
		expect(gate.admit(envelope, undefined, nowMs).verdict).to.equal('accept');
	});

	it('lets no forgery spend the rate of another', () => {
		const gate = createTenderGate({ startedAtMs: 0 });
		const workload = createWorkload();
		const stranger = createKeyPair();
		for (let i = 0; i < 100; i++) {
			expect(
				gate.admit(workload.sign(workload.tender(requester, slots), stranger), undefined, Date.now()).verdict,
			).to.equal('reject');
		}
		expect(gate.admit(workload.sign(workload.tender(requester, slots)), undefined, Date.now()).verdict).to.equal(
			'accept',
		);
	});

	it('limits how often one requester tenders for one workload, and nobody else', () => {
		const gate = createTenderGate({ startedAtMs: 0 });
		const [noisy, calm] = [createWorkload('noisy'), createWorkload('calm')];
		const nowMs = Date.now();
		const verdicts = Array.from(
			{ length: 30 },
			() => gate.admit(noisy.sign(noisy.tender(requester, slots)), undefined, nowMs).verdict,
		);
		expect(verdicts.filter((verdict) => verdict === 'accept')).to.have.length(20);
		expect(verdicts.at(-1)).to.equal('ignore');
		expect(gate.admit(calm.sign(calm.tender(requester, slots)), undefined, nowMs).verdict).to.equal('accept');
	});
});
