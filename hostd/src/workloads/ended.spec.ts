import {
	createKeyPair,
	defaultAdmissionTerms,
	genesisFor,
	ownerIdOf,
	signRecord,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import type { RecordCid } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { EndedWorkloads } from './ended.ts';

const owner = createKeyPair();
const NOW_MS = Date.now();

const widOf = (name: string) => workloadIdOf(genesisFor(owner.publicKey, 'Deployment', 'default', name));

function charter(name: string, era: number, { deleted = true, signer = owner } = {}): Uint8Array {
	const wid = widOf(name);
	return signRecord(
		'charter',
		{
			...{ wid, owner: ownerIdOf(signer.publicKey), era, kind: 'Deployment', namespace: 'default', name },
			...defaultAdmissionTerms(0),
			...{ manifestCid: wid as unknown as RecordCid, replicas: 0, deleted, nbf: NOW_MS, exp: NOW_MS + 1e9 },
		},
		signer,
	);
}

describe('deleted workloads', () => {
	let ended: EndedWorkloads;
	beforeEach(() => {
		ended = new EndedWorkloads();
	});

	it('are told to hosts that come back, under their newest charter', () => {
		const newest = charter('web', 7);
		for (const envelope of [charter('web', 5), newest, charter('web', 6)]) ended.note(envelope, NOW_MS);
		ended.note(charter('db', 3, { deleted: false }), NOW_MS);
		expect(ended.envelopes()).to.deep.equal([newest]);
	});

	it('are not placed again under an older charter, but when they are applied again', () => {
		ended.note(charter('web', 7), NOW_MS);
		for (const era of [6, 7]) expect(() => ended.refuse(widOf('web'), era)).to.throw('has been deleted');
		ended.refuse(widOf('web'), 8);
		ended.refuse(widOf('db'), 1);
	});

	it('are forgotten a day later', () => {
		ended.note(charter('web', 7), NOW_MS);
		ended.note(charter('db', 7), NOW_MS + 25 * 3_600_000);
		expect(ended.envelopes()).to.have.length(1);
		ended.refuse(widOf('web'), 1);
	});

	it('are deleted by nobody but their owner', () => {
		expect(() => ended.note(charter('web', 7, { signer: createKeyPair() }), NOW_MS)).to.throw();
		expect(ended.envelopes()).to.deep.equal([]);
	});
});
