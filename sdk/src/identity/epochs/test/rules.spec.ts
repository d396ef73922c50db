import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import { type EpochLink, type EpochRecord, encodeRecord, type MachineId } from '../../../wire/index.ts';
import { createKeyPair, keyIdOf } from '../../keys.ts';
import { createNodeKeys } from '../../machine.ts';
import { assembleRecord, peekRecord, signRecord } from '../../records.ts';
import { DAY_MS, HOUR_MS, NOW_MS, refused } from '../../test/fixtures.ts';
import { entryOf } from '../certificate.ts';
import { EpochChain } from '../chain.ts';
import type { EpochDraft } from '../draft.ts';
import type { EpochRule } from '../rules.ts';
import { bodyOf, broken, commit, createEpochWorkload, forged, renewed, signaturesOf, signedLink } from './workload.ts';

const w = createEpochWorkload();
const [a, b, c, d] = [w.replica(0), w.replica(1), w.replica(2), w.replica(3)];
const T1 = NOW_MS + 1_000;
const certOfC = c.cert(NOW_MS);
const admitC = [{ type: 'admit', cert: certOfC }] as const;

/** Offers a forgery of the admission of C, signed by A, and expects this rule to refuse it with nothing changed. */
function refusesForged(rule: EpochRule, change: Partial<EpochRecord> | ((draft: EpochDraft) => EpochLink)): void {
	const chain = w.found([a, b]);
	const draft = chain.draft(admitC, { tsMs: T1 });
	const link = typeof change === 'function' ? change(draft) : forged(draft, change, [a]);
	broken(rule, chain, () => chain.offer([link], T1));
	if (typeof change !== 'function')
		expect(() => chain.mayCosign({ ...draft.body, ...change }, draft.certs, T1)).to.throw();
	// The honest one still is accepted.
	expect(chain.offer([signedLink(draft, [a])], T1).type).to.equal('extended');
}

describe('the rules of membership', () => {
	const chain = w.found([a, b]);
	const members = chain.head.body.members;
	const [entryA, entryB] = [members[0], members[1]] as const;
	const entryC = entryOf(certOfC);
	if (entryA === undefined || entryB === undefined) throw new Error('two founders');

	it('workload: an epoch is of its charter’s workload', () => {
		refusesForged('workload', { wid: createEpochWorkload().charter.body.wid });
	});

	it('workload: a certificate is of the charter’s workload, owner and name', () => {
		const other = createEpochWorkload();
		for (const change of [
			{ wid: other.charter.body.wid },
			{ owner: other.charter.body.owner },
			{ namespace: 'elsewhere' },
			{ name: 'other' },
		]) {
			const cert = w.replica(2, 1, { change }).cert(NOW_MS);
			refusesForged('workload', (draft) =>
				forged({ ...draft, certs: [cert] }, { members: [entryA, entryB, entryOf(cert)] }, [a]),
			);
		}
	});

	it('era: members do not raise it, nor lower it', () => {
		refusesForged('era', { era: 2 });
		refusesForged('era', { era: 0 });
	});

	it('number: epochs count by one', () => {
		refusesForged('number', { e: 2 });
		refusesForged('number', { e: Number.MAX_SAFE_INTEGER });
	});

	it('number: 0 is the number of those that follow none, and of no other', () => {
		refusesForged('number', { e: 0 });
		const { prev: _, ...rest } = w.found([a, b]).draft(admitC, { tsMs: T1 }).body;
		const orphan = { epoch: signRecord('epoch', rest, w.owner), certs: [certOfC] };
		const chain = w.found([a, b]);
		broken('number', chain, () => chain.offer([orphan], T1));
	});

	it('previous: what follows something unknown is a gap, and nobody agrees to it', () => {
		const chain = w.found([a, b]);
		const draft = chain.draft(admitC, { tsMs: T1 });
		const body = { ...draft.body, prev: w.found([b]).head.cid };
		expect(chain.offer([forged(draft, body, [a])], T1)).to.deep.equal({ type: 'gap', needs: 'links' });
		refused('conflict', () => chain.mayCosign(body, draft.certs, T1));
		expect(chain.head.e).to.equal(0);
	});

	it('previous: links that do not follow one another are refused', () => {
		const chain = w.found([a, b]);
		const first = chain.draft(admitC, { tsMs: T1 });
		const second = { ...first, body: { ...first.body, e: 2 } };
		broken('previous', chain, () => chain.offer([signedLink(first, [a]), signedLink(second, [a])], T1));
	});

	it('time: an epoch is not before the one it follows', () => {
		refusesForged('time', { ts: NOW_MS - 1 });
	});

	it('time: an epoch is 30.000 s ahead of the clock at most', () => {
		const ahead = w.found([a, b]);
		const draft = ahead.draft(admitC, { tsMs: NOW_MS + 30_001 });
		broken('time', ahead, () => ahead.offer([signedLink(draft, [a])], NOW_MS));
		expect(ahead.offer([signedLink(draft, [a])], NOW_MS + 1).type).to.equal('extended');
	});

	it('time: who agrees has a clock within 30.000 s of it', () => {
		const chain = w.found([a, b]);
		const { body, certs } = chain.draft(admitC, { tsMs: T1 });
		broken('time', chain, () => chain.mayCosign(body, certs, T1 + 30_001));
		broken('time', chain, () => chain.mayCosign(body, certs, T1 - 30_001));
		chain.mayCosign(body, certs, T1 + 30_000);
		chain.mayCosign(body, certs, T1 - 30_000);
	});

	it('slots: none at the charter’s maximum or beyond, in links as in certificates of the owner’s', () => {
		const outside = w.replica(8);
		const cert = outside.cert(NOW_MS);
		refusesForged('slots', (draft) =>
			forged({ ...draft, certs: [cert] }, { members: [entryA, entryB, entryOf(cert)] }, [a]),
		);
		expect(() => w.found([a, outside])).to.throw('slot 8 is not below 8');
		const last = w.replica(7);
		expect(w.found([last]).head.members).to.have.length(1);
	});

	it('slots: none twice, none out of order, none both taken and vacant', () => {
		refused('invalid_input', () => peekRecord('epoch', unordered([entryA, entryA, entryB])));
		refused('invalid_input', () => peekRecord('epoch', unordered([entryB, entryA])));
		refusesForged('slots', { vacant: [{ slot: 0, gen: 1 }] });
	});

	it('generation: a fresh slot begins with 1', () => {
		const cert = w.replica(2, 2).cert(NOW_MS);
		refusesForged('generation', (draft) =>
			forged({ ...draft, certs: [cert] }, { members: [entryA, entryB, entryOf(cert)] }, [a]),
		);
	});

	it('generation: the next member of a slot has the next one, whether the slot is held or vacant', () => {
		for (const gen of [3, 4]) {
			const cert = w.replica(1, gen).cert(NOW_MS);
			refusesForged('generation', (draft) =>
				forged({ ...draft, certs: [cert] }, { members: [entryA, entryOf(cert)], groupKeyCommit: commit(1) }, [a]),
			);
		}
		const chain = w.found([a, b]);
		const removal = chain.draft([{ type: 'remove', slot: 1, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(1) });
		chain.offer([signedLink(removal, [a])], T1);
		expect(chain.head.body.vacant).to.deep.equal([{ slot: 1, gen: 1 }]);
		for (const gen of [1, 3]) {
			const cert = gen === 1 ? b.cert(NOW_MS) : w.replica(1, gen).cert(NOW_MS);
			const draft = chain.draft(admitC, { tsMs: T1 });
			const link = forged({ ...draft, certs: [cert] }, { members: [entryA, entryOf(cert)], vacant: [] }, [a]);
			broken('generation', chain, () => chain.offer([link], T1));
			broken('generation', chain, () => chain.draft([{ type: 'admit', cert }], { tsMs: T1 }));
		}
		const next = chain.draft([{ type: 'admit', cert: w.replica(1, 2).cert(NOW_MS) }], { tsMs: T1 });
		expect(chain.offer([signedLink(next, [a])], T1).type).to.equal('extended');
		expect(chain.head.body.vacant).to.deep.equal([]);
	});

	it('generation: it never falls', () => {
		const second = w.replica(1, 2);
		const chain = w.found([a, second]);
		const draft = chain.draft(admitC, { tsMs: T1 });
		const old = forged({ ...draft, certs: [b.cert(NOW_MS)] }, { members: [entryA, entryB] }, [a]);
		broken('generation', chain, () => chain.offer([old], T1));
	});

	it('vacancy: a slot does not lose its generation, change it, or get one without having had a member', () => {
		const gone = { members: [entryA], groupKeyCommit: commit(1) };
		refusesForged('vacancy', gone);
		refusesForged('vacancy', { ...gone, vacant: [{ slot: 1, gen: 2 }] });
		refusesForged('vacancy', { vacant: [{ slot: 5, gen: 1 }] });
		const chain = w.found([a, b]);
		const removal = chain.draft([{ type: 'remove', slot: 1, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(1) });
		chain.offer([signedLink(removal, [a])], T1);
		const draft = chain.draft(admitC, { tsMs: T1 });
		for (const vacant of [[], [{ slot: 1, gen: 2 }]])
			broken('vacancy', chain, () => chain.offer([forged(draft, { vacant }, [a])], T1));
	});

	it('incarnation: it does not fall, and does not rise without a new certificate', () => {
		const awardId = bodyOf(certOfC).awardId;
		const keys = createNodeKeys();
		const [first, second] = [1, 2].map((incarnation) =>
			w.replica(1, 1, { keys, incarnation, awardId }).cert(NOW_MS + 1),
		);
		const chain = EpochChain.found(w.charter, w.foundingLink([a]), NOW_MS);
		if (first === undefined || second === undefined) throw new Error('two certificates');
		const extend = (cert: Uint8Array, type: 'admit' | 'renew') =>
			chain.offer([signedLink(chain.draft([{ type, cert }], { tsMs: T1 }), [a])], T1);
		expect(extend(second, 'admit').type).to.equal('extended');
		const draft = chain.draft(admitC, { tsMs: T1 });
		const { incarnation: _, ...none } = entryOf(second);
		for (const entry of [entryOf(first), none, { ...entryOf(second), incarnation: 3 }]) {
			const link = forged({ ...draft, certs: [first] }, { members: [entryA, entry] }, [a]);
			broken('incarnation', chain, () => chain.offer([link], T1));
		}
	});

	it('renewal: a generation keeps its key', () => {
		const usurper = w.replica(1).cert(NOW_MS);
		refusesForged('renewal', (draft) =>
			forged({ ...draft, certs: [usurper] }, { members: [entryA, entryOf(usurper)], groupKeyCommit: commit(1) }, [a]),
		);
	});

	it('renewal: nobody agrees to one that says something else, or ends no later', () => {
		const chain = w.found([a, b]);
		const was = bodyOf(b.cert(NOW_MS));
		const elsewhere = createNodeKeys().peer.peerId as MachineId;
		const later = { nbf: T1, exp: T1 + DAY_MS };
		for (const change of [
			{ ...later, machineId: elsewhere },
			{ ...later, manifestCid: was.csrCid },
			{ exp: was.exp - 1 },
		]) {
			const cert = signRecord('replica-cert', { ...was, ...change }, b.keys.signer);
			broken('renewal', chain, () => chain.draft([{ type: 'renew', cert }], { tsMs: T1 }));
		}
		const cert = renewed(w.charter, b, b.cert(NOW_MS), T1);
		expect(chain.offer([signedLink(chain.draft([{ type: 'renew', cert }], { tsMs: T1 }), [b])], T1)).to.deep.equal({
			...{ type: 'extended', joined: [], left: [] },
		});
		expect(chain.memberByCid(peekRecord('replica-cert', cert).cid)?.slot).to.equal(1);
	});

	it('key-twice: no two members share a certificate, a key, or a replica ID', () => {
		refusesForged('key-twice', { members: [entryA, entryB, { ...entryC, certCid: entryA.certCid }] });
		refusesForged('key-twice', { members: [entryA, entryB, { ...entryC, sigKeyId: entryA.sigKeyId }] });
		const keys = createNodeKeys();
		const twin = { ...keys, peer: a.keys.peer };
		const cert = w.replica(2, 1, { keys: twin }).cert(NOW_MS);
		refusesForged('key-twice', (draft) =>
			forged({ ...draft, certs: [cert] }, { members: [entryA, entryB, entryOf(cert)] }, [a]),
		);
	});

	it('group-key: who goes does not know the next one', () => {
		refusesForged('group-key', { members: [entryA, entryC], vacant: [{ slot: 1, gen: 1 }] });
		const chain = w.found([a, b]);
		broken('group-key', chain, () => chain.draft([{ type: 'remove', slot: 1, gen: 1 }], { tsMs: T1 }));
	});

	it('certificate: each is there', () => {
		refusesForged('certificate', (draft) => ({ ...signedLink(draft, [a]), certs: [] }));
		refusesForged('certificate', (draft) => ({ ...signedLink(draft, [a]), certs: [d.cert(NOW_MS)] }));
	});

	it('certificate: each is signed by its own key, wanted by its peer key, and unaltered', () => {
		const stolen = signRecord('replica-cert', bodyOf(certOfC), createKeyPair());
		refusesForged('certificate', (draft) => ({ ...signedLink(draft, [a]), certs: [stolen] }));
		const claimed = w.replica(2, 1, { change: { replicaId: d.keys.peer.peerId as never } }).cert(NOW_MS);
		refusesForged('certificate', (draft) =>
			forged({ ...draft, certs: [claimed] }, { members: [entryA, entryB, entryOf(claimed)] }, [a]),
		);
		for (let at = 7; at < certOfC.byteLength; at += 613) {
			const bytes = certOfC.slice();
			bytes[at] = (bytes[at] ?? 0) ^ 1;
			const chain = w.found([a, b]);
			const link = { ...signedLink(chain.draft(admitC, { tsMs: T1 }), [a]), certs: [bytes] };
			expect(() => chain.offer([link], T1), `byte ${at}`).to.throw();
			expect(chain.head.e).to.equal(0);
		}
	});

	it('certificate: it says what the epoch says', () => {
		for (const entry of [
			{ ...entryC, slot: 3 },
			{ ...entryC, incarnation: 1 },
			{ ...entryC, sigKeyId: keyIdOf(createKeyPair().publicKey) },
		])
			refusesForged('certificate', { members: [entryA, entryB, entry] });
	});

	it('validity: each holds at the time of the epoch', () => {
		const chain = w.found([a, b]);
		const notYet = w.replica(2).cert(T1 + 30_001);
		broken('validity', chain, () => chain.draft([{ type: 'admit', cert: notYet }], { tsMs: T1 }));
		const over = w.replica(2, 1, { change: { nbf: NOW_MS - HOUR_MS, exp: T1 - 1 } }).cert(NOW_MS);
		broken('validity', chain, () => chain.draft([{ type: 'admit', cert: over }], { tsMs: T1 }));
		const barely = w.replica(2).cert(T1 + 30_000);
		expect(chain.draft([{ type: 'admit', cert: barely }], { tsMs: T1 }).body.e).to.equal(1);
	});

	it('validity: a signature counts while its certificate holds, and who has expired must go', () => {
		const late = NOW_MS + DAY_MS + 1;
		const chain = w.found([a, b]);
		const fresh = renewed(w.charter, b, b.cert(NOW_MS), NOW_MS + DAY_MS / 2);
		const draft = chain.draft([{ type: 'renew', cert: fresh }], { tsMs: NOW_MS + DAY_MS / 2 });
		chain.offer([signedLink(draft, [b])], late);
		expect(chain.expiredAt(late).map(({ slot }) => slot)).to.deep.equal([0]);
		broken('validity', chain, () => chain.draft([{ type: 'admit', cert: c.cert(late) }], { tsMs: late }));
		const removal = chain.draft([{ type: 'remove', slot: 0, gen: 1 }], { tsMs: late, groupKeyCommit: commit(1) });
		broken('validity', chain, () => chain.offer([signedLink(removal, [a])], late));
		expect(chain.offer([signedLink(removal, [b])], late).type).to.equal('extended');
	});

	it('lifetime: a certificate lives as long as the charter says, or shorter', () => {
		const short = createEpochWorkload({ certTtlMs: HOUR_MS });
		const chain = short.found([short.replica(0)]);
		const long = short.replica(1, 1, { change: { nbf: NOW_MS, exp: NOW_MS + HOUR_MS + 1 } }).cert(NOW_MS);
		broken('lifetime', chain, () => chain.draft([{ type: 'admit', cert: long }], { tsMs: T1 }));
		const right = short.replica(1, 1, { change: { nbf: NOW_MS, exp: NOW_MS + HOUR_MS } }).cert(NOW_MS);
		expect(chain.draft([{ type: 'admit', cert: right }], { tsMs: T1 }).body.e).to.equal(1);
	});

	it('signers: a stranger, the newcomer itself, somebody who is out, or a member with a stranger', () => {
		for (const signers of [[createKeyPair()], [c], [d], [a, d], [a, b, c]])
			refusesForged('signers', (draft) => signedLink(draft, signers));
		const chain = w.found([a, b]);
		const removal = chain.draft([{ type: 'remove', slot: 1, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(1) });
		chain.offer([signedLink(removal, [a])], T1);
		const link = signedLink(chain.draft(admitC, { tsMs: T1 }), [b]);
		broken('signers', chain, () => chain.offer([link], T1));
	});

	it('signers: a signature of another epoch, or with any byte flipped', () => {
		const chain = w.found([a, b]);
		const [one, other] = [T1, T1 + 1].map((tsMs) => chain.draft(admitC, { tsMs }));
		if (one === undefined || other === undefined) throw new Error('two drafts');
		const [signature] = signaturesOf(signedLink(other, [a]));
		if (signature === undefined) throw new Error('a signature');
		const mixed = { epoch: assembleRecord('epoch', one.body, [signature]), certs: [...one.certs] };
		broken('signers', chain, () => chain.offer([mixed], T1));
		const { epoch, certs } = signedLink(one, [a]);
		for (let at = 0; at < epoch.byteLength; at += at < 900 ? 7 : 97) {
			const bytes = epoch.slice();
			bytes[at] = (bytes[at] ?? 0) ^ 1;
			const outcome = (): unknown => chain.offer([{ epoch: bytes, certs }], T1);
			try {
				expect(outcome(), `byte ${at}`).to.deep.equal({ type: 'gap', needs: 'links' });
			} catch (error) {
				if (!isMeshError(error)) throw error;
			}
			expect(chain.head.e, `byte ${at}`).to.equal(0);
		}
	});
});

describe('how many must sign', () => {
	it('as many as the charter says, each once', () => {
		const two = createEpochWorkload({ admit: { k: 2 } });
		const [p, q, r] = [two.replica(0), two.replica(1), two.replica(2)];
		const chain = two.found([p, q, r]);
		const draft = chain.draft([{ type: 'remove', slot: 2, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(1) });
		expect(chain.signaturesNeeded).to.equal(2);
		broken('signers', chain, () => chain.offer([signedLink(draft, [p])], T1));
		refused('invalid_input', () => signedLink(draft, [p, p]));
		expect(chain.offer([signedLink(draft, [q, p])], T1).type).to.equal('extended');
	});

	it('the majority of a StatefulSet, whatever its charter says', () => {
		const set = createEpochWorkload({ kind: 'StatefulSet' });
		const five = [0, 1, 2, 3, 4].map((slot) => set.replica(slot));
		const chain = set.found(five);
		const draft = chain.draft([{ type: 'remove', slot: 4, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(1) });
		for (const count of [1, 2])
			broken('signers', chain, () => chain.offer([signedLink(draft, five.slice(0, count))], T1));
		expect(chain.offer([signedLink(draft, five.slice(2))], T1).type).to.equal('extended');
	});

	it('never more than there are: one that is left alone may go on', () => {
		const two = createEpochWorkload({ admit: { k: 2 } });
		const only = two.replica(0);
		const chain = two.found([only]);
		const draft = chain.draft([{ type: 'admit', cert: two.replica(1).cert(NOW_MS) }], { tsMs: T1 });
		expect(chain.offer([signedLink(draft, [only])], T1).type).to.equal('extended');
	});

	it('nobody can where nobody is in, but the owner', () => {
		const chain = w.found([]);
		const draft = chain.draft([{ type: 'admit', cert: a.cert(NOW_MS) }], { tsMs: T1 });
		broken('signers', chain, () => chain.offer([signedLink(draft, [a])], T1));
		const { joined } = chain.offer([w.owned(draft)], T1) as { joined: readonly { slot: number }[] };
		expect(joined.map(({ slot }) => slot)).to.deep.equal([0]);
	});

	it('who agrees signs exactly what the record’s signature covers', () => {
		const chain = w.found([a, b]);
		const { body, certs } = chain.draft(admitC, { tsMs: T1 });
		const s = a.keys.signer.sign(chain.mayCosign(body, certs, T1));
		const epoch = assembleRecord('epoch', body, [{ k: keyIdOf(a.keys.signer.publicKey), s }]);
		expect(chain.offer([{ epoch, certs: [...certs] }], T1).type).to.equal('extended');
	});

	it('nobody agrees to what the owner alone may do, or to a body that is none', () => {
		const chain = w.found([a, b]);
		const { body, certs } = chain.draft(admitC, { tsMs: T1, era: 2 });
		broken('era', chain, () => chain.mayCosign(body, certs, T1));
		refused('invalid_input', () => chain.mayCosign({ ...body, more: 1 } as EpochRecord, certs, T1));
		refused('invalid_input', () => chain.mayCosign({} as EpochRecord, certs, T1));
	});
});

function unordered(members: EpochRecord['members']): Uint8Array {
	const { body } = peekRecord('epoch', w.foundingLink([a, b]).epoch);
	return rawEnvelope({ ...body, members });
}

function rawEnvelope(body: EpochRecord): Uint8Array {
	const bytes = encodeRecord(body);
	return encodeRecord({ b: bytes, s: [{ k: keyIdOf(w.owner.publicKey), s: w.owner.sign(bytes) }] });
}
