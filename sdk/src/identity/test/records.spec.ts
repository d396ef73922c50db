import { expect } from 'chai';
import { describe, it } from 'mocha';
import { encodeRecord, RECORDS, type RecordType } from '../../wire/index.ts';
import { createKeyPair, keyIdOf } from '../keys.ts';
import {
	assembleRecord,
	openRecord,
	peekRecord,
	requireFresh,
	requireValid,
	signRecord,
	signRecordPart,
} from '../records.ts';
import { workloadIdOf } from '../workload.ts';
import { createTestMesh, createWorkload, flipped, NOW_MS, refused } from './fixtures.ts';

describe('signed records', () => {
	const { owner, bundle } = createWorkload();

	it('open as what they are, with the CID of their body', () => {
		const { body, signer, cid } = openRecord('genesis', bundle.genesis);
		expect(signer).to.deep.equal(owner.publicKey);
		expect(workloadIdOf(body) as string).to.equal(cid as string);
	});

	it('have one ID however often they are signed', () => {
		const { body, cid } = openRecord('genesis', bundle.genesis);
		expect(openRecord('genesis', signRecord('genesis', body, owner)).cid).to.equal(cid);
	});

	it('never open as another type', () => {
		const { epoch, mesh } = createTestMesh();
		const records: Partial<Record<RecordType, Uint8Array>> = {
			genesis: bundle.genesis,
			charter: bundle.charter,
			'tender-grant': bundle.grant,
			'mesh-genesis': mesh.envelope,
			'mesh-epoch': epoch,
		};
		for (const [is, envelope] of Object.entries(records))
			for (const as of Object.keys(RECORDS) as RecordType[])
				if (as !== is) refused('invalid_input', () => openRecord(as, envelope, [owner.publicKey]));
	});

	it('are refused when any byte is flipped or cut off', () => {
		for (const bytes of flipped(bundle.charter)) expect(() => openRecord('charter', bytes)).to.throw();
		// The body byte by byte, the signature by the sample above.
		const end = bundle.charter.byteLength;
		for (let i = 0; i < end; i += i < 700 ? 1 : 97) {
			const bytes = bundle.charter.slice();
			bytes[i] = (bytes[i] ?? 0) ^ 0x01;
			expect(() => openRecord('charter', bytes), `byte ${i}`).to.throw();
			expect(() => openRecord('charter', bundle.charter.subarray(0, i)), `cut at ${i}`).to.throw();
		}
	});

	it('are refused with trailing bytes, a second signature, or a field more', () => {
		refused('invalid_input', () => openRecord('charter', new Uint8Array([...bundle.charter, 0])));
		const { body } = openRecord('genesis', bundle.genesis);
		const b = encodeRecord(body);
		const signature = { k: owner.publicKey, s: owner.sign(b) };
		refused('invalid_input', () => openRecord('genesis', encodeRecord({ b, s: [signature, signature] })));
		refused('invalid_input', () => openRecord('genesis', encodeRecord({ b, s: [] })));
		refused('invalid_input', () => openRecord('genesis', encodeRecord({ b, s: [signature], x: 1 })));
		const more = encodeRecord({ b: encodeRecord({ ...body, x: 1 }), s: [signature] });
		refused('invalid_input', () => openRecord('genesis', more));
	});

	it('are refused with a signature over the body alone, or of another type', () => {
		const b = encodeRecord(openRecord('genesis', bundle.genesis).body);
		for (const context of ['', 'beemesh/charter/1\0', 'beemesh/genesis/1', 'beemesh/genesis/2\0']) {
			const signed = new Uint8Array([...new TextEncoder().encode(context), ...b]);
			const envelope = encodeRecord({ b, s: [{ k: owner.publicKey, s: owner.sign(signed) }] });
			refused('unauthorized', () => openRecord('genesis', envelope));
		}
	});

	it('name their signer in one way: by key, or by the ID of a key that is known', () => {
		const { root, mesh } = createTestMesh();
		const stranger = createKeyPair();
		refused('unauthorized', () => openRecord('mesh-genesis', mesh.envelope));
		refused('unauthorized', () => openRecord('mesh-genesis', mesh.envelope, [stranger.publicKey]));
		const both = [stranger.publicKey, root.publicKey];
		expect(openRecord('mesh-genesis', mesh.envelope, both).signer).to.deep.equal(root.publicKey);
		refused('unauthorized', () => openRecord('genesis', bundle.genesis, [stranger.publicKey]));
		const b = encodeRecord(openRecord('genesis', bundle.genesis).body);
		const byId = encodeRecord({ b, s: [{ k: keyIdOf(owner.publicKey), s: owner.sign(b) }] });
		refused('invalid_input', () => openRecord('genesis', byId, [owner.publicKey]));
	});

	it('can be looked at before they are verified', () => {
		const forged = bundle.charter.slice();
		forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
		const peeked = peekRecord('charter', forged);
		expect(peeked.body.name).to.equal('web');
		expect(peeked.claimed).to.deep.equal(owner.publicKey);
		refused('unauthorized', () => peeked.verify());
	});
});

describe('records that several sign', () => {
	const [a, b, c] = [createKeyPair(), createKeyPair(), createKeyPair()];
	const keys = [a, b, c].map(({ publicKey }) => publicKey);
	const wid = createWorkload().wid;
	const body = { wid, era: 1, e: 0, members: [], vacant: [], groupKeyCommit: new Uint8Array(32), ts: NOW_MS };
	const parts = [a, b, c].map((signer) => signRecordPart('epoch', body, signer));
	const ascending = [...parts].sort((x, y) => Buffer.compare(x.k, y.k));
	const raw = (s: readonly unknown[]) => encodeRecord({ b: encodeRecord(body), s: [...s] });

	it('have one envelope for the same signers, in whatever order they signed', () => {
		const envelope = assembleRecord('epoch', body, parts);
		expect(assembleRecord('epoch', body, [...parts].reverse())).to.deep.equal(envelope);
		const { signers, signer, cid } = peekRecord('epoch', envelope).verifyAll(keys);
		expect(signers.map((key) => keyIdOf(key))).to.deep.equal(ascending.map(({ k }) => k));
		expect(signer).to.equal(signers[0]);
		expect(cid).to.equal(peekRecord('epoch', signRecord('epoch', body, c)).cid);
		expect(openRecord('epoch', envelope, keys).signer).to.deep.equal(signer);
	});

	it('are refused for any one signature: of somebody else, of another body, altered', () => {
		const [first] = parts;
		if (first === undefined) throw new Error('a part');
		const stranger = signRecordPart('epoch', body, createKeyPair());
		const otherBody = signRecordPart('epoch', { ...body, ts: NOW_MS + 1 }, b);
		const otherType = { k: keyIdOf(b.publicKey), s: b.sign(encodeRecord(body)) };
		for (const bad of [stranger, otherBody, otherType])
			refused('unauthorized', () => peekRecord('epoch', assembleRecord('epoch', body, [first, bad])).verifyAll(keys));
		const swapped = [{ ...parts[0], s: parts[1]?.s }, parts[2]].sort((x, y) =>
			Buffer.compare(x?.k ?? first.k, y?.k ?? first.k),
		);
		refused('unauthorized', () => openRecord('epoch', raw(swapped), keys));
		refused('unauthorized', () => openRecord('epoch', assembleRecord('epoch', body, parts), keys.slice(0, 2)));
		refused('unauthorized', () => openRecord('epoch', assembleRecord('epoch', body, parts)));
	});

	it('are none with a signer twice, out of order, with none or with seventeen', () => {
		const [first] = ascending;
		if (first === undefined) throw new Error('a part');
		const many = Array.from({ length: 17 }, (_, i) => ({ ...first, k: new Uint8Array(32).fill(i) }));
		for (const parts of [[], [first, first], [...ascending].reverse(), many])
			refused('invalid_input', () => peekRecord('epoch', raw(parts)));
		for (const parts of [[], [first, first], many])
			refused('invalid_input', () => assembleRecord('epoch', body, parts));
		expect(peekRecord('epoch', raw(many.slice(1))).claims).to.have.length(16);
		const charter = createWorkload();
		const part = signRecordPart('charter', charter.charter, charter.owner);
		const second = signRecordPart('charter', charter.charter, a);
		refused('invalid_input', () => assembleRecord('charter', charter.charter, [part, second]));
	});
});

describe('times of records', () => {
	it('count as fresh within 30.000 s and not at 30.001 s', () => {
		requireFresh('it', { ts: NOW_MS }, NOW_MS + 30_000);
		requireFresh('it', { ts: NOW_MS }, NOW_MS - 30_000);
		refused('unauthorized', () => requireFresh('it', { ts: NOW_MS }, NOW_MS + 30_001));
		refused('unauthorized', () => requireFresh('it', { ts: NOW_MS }, NOW_MS - 30_001));
		refused('unauthorized', () => requireFresh('it', { ts: NOW_MS, exp: NOW_MS + 5 }, NOW_MS + 6));
	});

	it('are valid from 30 s before their beginning to their very end', () => {
		const record = { nbf: NOW_MS, exp: NOW_MS + 10 };
		requireValid('it', record, NOW_MS - 30_000);
		requireValid('it', record, NOW_MS + 10);
		refused('unauthorized', () => requireValid('it', record, NOW_MS - 30_001));
		refused('unauthorized', () => requireValid('it', record, NOW_MS + 11));
	});

	it('are dates: a record with a time that no calendar has is none', () => {
		const { charter, owner } = createWorkload();
		const signed = (nbf: number) => openRecord('charter', signRecord('charter', { ...charter, nbf, exp: nbf }, owner));
		expect(signed(8_640_000_000_000_000).body.nbf).to.equal(8_640_000_000_000_000);
		expect(() => signed(8_640_000_000_000_001)).to.throw();
	});
});
