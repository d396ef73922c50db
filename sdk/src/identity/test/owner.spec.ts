import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
	createKemKey,
	createKeyPair,
	genesisFor,
	openOwnerRoot,
	openWorkloadEnd,
	ownerIdOf,
	signRecord,
	signWorkloadEnd,
	workloadIdOf,
} from '../index.ts';

const owner = createKeyPair();
const stranger = createKeyPair();
const id = ownerIdOf(owner.publicKey);
const NOW_MS = 1_700_000_000_000;

describe('an owner’s public record', () => {
	const body = { owner: id, sigKey: owner.publicKey, kemKey: createKemKey().publicKey, createdMs: 1 };

	it('holds when the key that it names signed it, under that key’s ID', () => {
		expect(openOwnerRoot(signRecord('owner-root', body, owner)).body.owner).to.equal(id);
	});

	it('holds for nobody else', () => {
		const forged = [
			signRecord('owner-root', body, stranger),
			signRecord('owner-root', { ...body, sigKey: stranger.publicKey }, stranger),
			signRecord('owner-root', { ...body, owner: ownerIdOf(stranger.publicKey) }, owner),
		];
		for (const envelope of forged)
			expect(() => openOwnerRoot(envelope))
				.to.throw()
				.with.property('code', 'unauthorized');
	});
});

describe('the end of a workload', () => {
	const named = { kind: 'StatefulSet' as const, namespace: 'default', name: 'kv', era: 7 };

	it('is its owner’s word, and says no more than which one and since when', () => {
		const { body } = openWorkloadEnd(signWorkloadEnd(named, owner, NOW_MS), NOW_MS);
		const genesis = genesisFor(owner.publicKey, 'StatefulSet', 'default', 'kv');
		expect(body).to.deep.equal({ wid: workloadIdOf(genesis), ...genesis, era: 7, ts: NOW_MS });
	});

	it('is nobody else’s, of no other workload, and not of a time to come', () => {
		const genesis = genesisFor(owner.publicKey, 'StatefulSet', 'default', 'kv');
		const body = { wid: workloadIdOf(genesis), ...genesis, era: 7, ts: NOW_MS };
		const other = genesisFor(stranger.publicKey, 'StatefulSet', 'default', 'kv');
		const forged = [
			signRecord('workload-end', body, stranger),
			signRecord('workload-end', { ...body, owner: other.owner }, stranger),
			signRecord('workload-end', { ...body, wid: workloadIdOf(other) }, owner),
			signRecord('workload-end', { ...body, salt: new Uint8Array(32) }, owner),
			signRecord('workload-end', { ...body, ts: NOW_MS + 30_001 }, owner),
		];
		for (const envelope of forged)
			expect(() => openWorkloadEnd(envelope, NOW_MS))
				.to.throw()
				.with.property('code', 'unauthorized');
	});
});
