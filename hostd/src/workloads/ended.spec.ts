import { createKeyPair, genesisFor, ownerIdOf, signRecord, signWorkloadEnd, workloadIdOf } from '@beemesh/sdk/identity';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { EndedWorkloads } from './ended.ts';

const owner = createKeyPair();
const NOW_MS = Date.now();

const genesisOf = (name: string) => genesisFor(owner.publicKey, 'Deployment', 'default', name);
const widOf = (name: string) => workloadIdOf(genesisOf(name));

function end(name: string, era: number, nowMs = NOW_MS): Uint8Array {
	return signWorkloadEnd({ kind: 'Deployment', namespace: 'default', name, era }, owner, nowMs);
}

describe('deleted workloads', () => {
	let ended: EndedWorkloads;
	beforeEach(() => {
		ended = new EndedWorkloads();
	});

	it('are told to hosts that come back, under their newest end', () => {
		const newest = end('web', 7);
		for (const envelope of [end('web', 5), newest, end('web', 6)]) ended.note(envelope, NOW_MS);
		expect(ended.envelopes()).to.deep.equal([newest]);
	});

	it('are not placed again under an older charter, but when they are applied again', () => {
		ended.note(end('web', 7), NOW_MS);
		for (const era of [6, 7]) expect(() => ended.refuse(widOf('web'), era)).to.throw('has been deleted');
		ended.refuse(widOf('web'), 8);
		ended.refuse(widOf('db'), 1);
	});

	it('are forgotten a day later', () => {
		ended.note(end('web', 7), NOW_MS);
		ended.note(end('db', 7), NOW_MS + 25 * 3_600_000);
		expect(ended.envelopes()).to.have.length(1);
		ended.refuse(widOf('web'), 1);
	});

	it('are ended by nobody but their owner, and by no record from the future', () => {
		const body = { wid: widOf('web'), ...genesisOf('web'), era: 7, ts: NOW_MS };
		const stranger = createKeyPair();
		const ofStranger = ownerIdOf(stranger.publicKey);
		for (const forged of [
			signRecord('workload-end', body, stranger),
			signRecord('workload-end', { ...body, owner: ofStranger }, stranger),
			end('web', 7, NOW_MS + 60_000),
		])
			expect(() => ended.note(forged, NOW_MS))
				.to.throw()
				.with.property('code', 'unauthorized');
		expect(ended.envelopes()).to.deep.equal([]);
	});
});
