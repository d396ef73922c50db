import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { EpochLink } from '../../../wire/index.ts';
import { peekRecord } from '../../records.ts';
import { HOUR_MS, NOW_MS } from '../../test/fixtures.ts';
import { EpochChain, type Offered } from '../chain.ts';
import { type EpochChange, foundingEpoch } from '../draft.ts';
import { broken, commit, createEpochWorkload, forged, signedLink, type TestReplica } from './workload.ts';

const w = createEpochWorkload();
const [a, b, c, d] = [w.replica(0), w.replica(1), w.replica(2), w.replica(3)];
const founding = w.foundingLink([a, b]);
const T1 = NOW_MS + 1_000;

const begin = (): EpochChain => EpochChain.found(w.charter, founding, NOW_MS);
const admit = (replica: TestReplica): EpochChange => ({ type: 'admit', cert: replica.cert(NOW_MS) });
let key = 1;

/** One more epoch on this chain, signed by one member. */
function grow(chain: EpochChain, signer: TestReplica, changes: readonly EpochChange[], tsMs = T1): EpochLink {
	const link = signedLink(chain.draft(changes, { tsMs, groupKeyCommit: commit(key++) }), [signer]);
	expect(chain.offer([link], tsMs).type).to.equal('extended');
	return link;
}

function slotsOf(members: readonly { readonly slot: number; readonly gen: number }[]): string {
	return members.map(({ slot, gen }) => `${slot}.${gen}`).join(' ');
}

describe('histories that part', () => {
	it('the longer one holds, and says who is out', () => {
		const [left, right] = [begin(), begin()];
		grow(left, a, [admit(c)]);
		grow(right, b, [admit(d)]);
		grow(right, b, [{ type: 'remove', slot: 0, gen: 1 }]);
		const outcome = left.offer(right.linksFor(left.head), T1) as Extract<Offered, { type: 'forked' }>;
		expect(outcome).to.include({ type: 'forked', isSwitched: true });
		expect(slotsOf(outcome.left)).to.equal('0.1 2.1');
		expect(slotsOf(outcome.joined)).to.equal('3.1');
		expect(left.head).to.deep.equal(right.head);
	});

	it('the shorter one does not, and changes nothing', () => {
		const [left, right] = [begin(), begin()];
		grow(left, a, [admit(c)]);
		grow(left, a, []);
		grow(right, b, [admit(d)]);
		const before = left.head;
		expect(left.offer(right.linksFor(left.head), T1)).to.deep.equal({
			...{ type: 'forked', isSwitched: false, evidence: [], joined: [], left: [] },
		});
		expect(left.head).to.deep.equal(before);
	});

	it('of two as long the one whose head has the lower CID holds, on both sides', () => {
		for (let i = 0; i < 4; i++) {
			const [left, right] = [begin(), begin()];
			grow(left, a, [admit(c)], T1 + i);
			grow(right, b, [admit(d)], T1 + i);
			const lower = left.head.cid < right.head.cid ? left.head : right.head;
			const [toRight, toLeft] = [left.linksFor(right.head), right.linksFor(left.head)];
			right.offer(toRight, T1 + i);
			left.offer(toLeft, T1 + i);
			expect(left.head.cid).to.equal(lower.cid);
			expect(right.head).to.deep.equal(left.head);
		}
	});

	it('whoever lost its place is let in again with the certificate it has', () => {
		const [left, right] = [begin(), begin()];
		grow(left, a, [admit(c)]);
		const lost = left.member(c.keys.peer.peerId as never)?.envelope;
		grow(right, b, []);
		grow(right, b, []);
		left.offer(right.linksFor(left.head), T1);
		expect(left.member(c.keys.peer.peerId as never)).to.equal(undefined);
		grow(left, a, [{ type: 'admit', cert: lost as Uint8Array }]);
		expect(left.member(c.keys.peer.peerId as never)?.slot).to.equal(2);
	});

	it('a better history that breaks a rule changes nothing, wherever it breaks', () => {
		const [left, right] = [begin(), begin()];
		grow(left, a, [admit(c)]);
		grow(right, b, [admit(d)]);
		const draft = right.draft([], { tsMs: T1 });
		const bad = forged(draft, { vacant: [{ slot: 7, gen: 1 }] }, [b]);
		const unsigned = signedLink(draft, [c]);
		broken('vacancy', left, () => left.offer([...right.linksSince(-1), bad], T1));
		broken('signers', left, () => left.offer([...right.linksSince(-1), unsigned], T1));
		broken('certificate', left, () =>
			left.offer(
				[...right.linksSince(-1), signedLink(draft, [b])].map((link) => ({ ...link, certs: [] })),
				T1,
			),
		);
	});

	it('a member that signs on both sides leaves evidence, one piece each; an honest fork leaves none', () => {
		const [left, right, other] = [begin(), begin(), begin()];
		const ours = grow(left, a, [admit(c)]);
		const theirs = grow(right, a, [admit(d)]);
		grow(right, a, []);
		grow(other, b, [admit(d)]);
		left.offer(other.linksFor(left.head), T1);
		expect(left.forks()).to.deep.equal([]);
		const fresh = begin();
		fresh.offer([ours], T1);
		const outcome = fresh.offer(right.linksFor(fresh.head), T1) as Extract<Offered, { type: 'forked' }>;
		expect(outcome.evidence).to.have.length(1);
		expect(fresh.forks()).to.deep.equal(outcome.evidence);
		expect(outcome.evidence[0]?.epochs).to.deep.equal([ours.epoch, theirs.epoch]);
		// Also when the history that is offered loses.
		const longer = begin();
		longer.offer([theirs], T1);
		grow(longer, a, []);
		longer.offer([ours], T1);
		expect(longer.forks()).to.have.length(1);
		longer.offer([ours], T1);
		expect(longer.forks()).to.have.length(1);
	});

	it('evidence is not made of signatures that do not hold', () => {
		const [left, right] = [begin(), begin()];
		grow(left, a, [admit(c)]);
		grow(left, a, []);
		const draft = right.draft([admit(d)], { tsMs: T1 });
		const { epoch, certs } = signedLink(draft, [a]);
		const spoilt = epoch.slice();
		spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;
		broken('signers', left, () => left.offer([{ epoch: spoilt, certs }], T1));
	});
});

describe('links', () => {
	it('that are known, or none, say nothing new', () => {
		const chain = begin();
		const link = grow(chain, a, [admit(c)]);
		for (const links of [[], [link], [founding], [founding, link], chain.linksSince(-1)])
			expect(chain.offer(links, T1)).to.deep.equal({ type: 'known' });
	});

	it('with a part that is known extend by the rest', () => {
		const [chain, behind] = [begin(), begin()];
		const first = grow(chain, a, [admit(c)]);
		const second = grow(chain, c, [admit(d)]);
		expect(behind.offer([first], T1).type).to.equal('extended');
		expect(behind.offer([founding, first, second], T1).type).to.equal('extended');
		expect(behind.head).to.deep.equal(chain.head);
	});

	it('that follow something unknown are a gap; those from the owner’s epoch on fill it', () => {
		const [chain, behind] = [begin(), begin()];
		grow(chain, a, [admit(c)]);
		const { position } = chain;
		const second = grow(chain, c, [admit(d)]);
		expect(behind.offer([second], T1)).to.deep.equal({ type: 'gap', needs: 'links' });
		expect(behind.isBehind(position)).to.equal(true);
		expect(chain.isBehind(behind.position)).to.equal(false);
		expect(behind.offer(chain.linksFor(behind.head), T1).type).to.equal('extended');
		expect(behind.head).to.deep.equal(chain.head);
		expect(chain.linksFor(chain.head)).to.deep.equal([]);
	});

	it('carry no certificate that the receiver has, and none that nobody needs', () => {
		const chain = begin();
		grow(chain, a, [admit(c)]);
		grow(chain, a, [{ type: 'remove', slot: 2, gen: 1 }, admit(d)]);
		const certs = (links: readonly EpochLink[]) => links.flatMap((link) => link.certs).length;
		// C has come and gone without a word.
		expect(certs(chain.linksSince(-1))).to.equal(3);
		expect(certs(chain.linksFor(begin().head))).to.equal(1);
		const newcomer = EpochChain.from(w.charter, chain.linksSince(-1), T1);
		expect(newcomer.head).to.deep.equal(chain.head);
		expect(newcomer.linksSince(-1)).to.deep.equal(chain.linksSince(-1));
	});

	it('lead nobody from where the owner has not signed', () => {
		const chain = begin();
		const link = grow(chain, a, [admit(c)]);
		expect(() => EpochChain.from(w.charter, [link], T1)).to.throw('no epoch among these is signed by the owner');
		expect(() => EpochChain.from(w.charter, [], T1)).to.throw('no epoch among these');
		const other = createEpochWorkload();
		expect(() => EpochChain.from(other.charter, chain.linksSince(-1), T1)).to.throw('no epoch among these');
	});
});

describe('the owner’s word', () => {
	it('shortens the chain: nothing from before it is kept or needed', () => {
		const chain = begin();
		grow(chain, a, [admit(c)]);
		grow(chain, c, [admit(d)]);
		const behind = begin();
		const word = w.owned(chain.draft([{ type: 'remove', slot: 0, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(90) }));
		expect(chain.offer([word], T1).type).to.equal('extended');
		expect(chain.checkpoint).to.deep.equal({ era: 1, e: 3, cid: chain.head.cid });
		expect(chain.linksSince(-1)).to.have.length(1);
		const outcome = behind.offer(chain.linksFor(behind.head), T1) as Extract<Offered, { type: 'extended' }>;
		expect(slotsOf(outcome.left)).to.equal('0.1');
		expect(slotsOf(outcome.joined)).to.equal('2.1 3.1');
		expect(behind.head).to.deep.equal(chain.head);
	});

	it('outdoes every number of epochs that members add to an older one', () => {
		const [chain, captured] = [begin(), begin()];
		chain.offer(
			[w.owned(chain.draft([{ type: 'remove', slot: 0, gen: 1 }], { tsMs: T1, groupKeyCommit: commit(91) }))],
			T1,
		);
		for (let i = 0; i < 5; i++) grow(captured, a, []);
		expect(chain.isBehind(captured.position)).to.equal(false);
		expect(captured.isBehind(chain.position)).to.equal(true);
		expect(chain.offer(captured.linksSince(-1), T1)).to.deep.equal({ type: 'known' });
		expect(chain.offer(captured.linksSince(0), T1)).to.deep.equal({ type: 'gap', needs: 'links' });
		expect(captured.offer(chain.linksFor(captured.head), T1)).to.include({ type: 'forked', isSwitched: true });
		expect(captured.head).to.deep.equal(chain.head);
	});

	it('in a higher era displaces all, and begins anew if it wants', () => {
		const chain = begin();
		grow(chain, a, [admit(c)]);
		const charter = w.charterWith({ era: 2 });
		const anew = w.owned(
			foundingEpoch(charter.body, [d.cert(NOW_MS)], {
				tsMs: T1,
				groupKeyCommit: commit(92),
				vacant: [{ slot: 0, gen: 4 }],
			}),
		);
		expect(chain.offer([anew], T1)).to.deep.equal({ type: 'gap', needs: 'charter' });
		expect(chain.takeCharter(charter)).to.equal(true);
		expect(chain.offer([anew], T1).type).to.equal('extended');
		expect(chain.head).to.include({ era: 2, e: 0 });
		expect(slotsOf(chain.head.members)).to.equal('3.1');
		expect(chain.offer(begin().linksSince(-1), T1)).to.deep.equal({ type: 'known' });
		broken('generation', chain, () => chain.draft([admit(a)], { tsMs: T1 }));
		expect(chain.draft([admit(w.replica(0, 5))], { tsMs: T1 }).body.vacant).to.deep.equal([]);
	});

	it('is the owner’s alone: with another signature beside it, it is a member’s', () => {
		const chain = begin();
		const draft = chain.draft([admit(c)], { tsMs: T1 });
		broken('signers', chain, () => chain.offer([signedLink(draft, [w.owner, a])], T1));
	});

	it('keeps to the rules on one epoch', () => {
		const chain = begin();
		const draft = chain.draft([admit(c)], { tsMs: T1 });
		broken('certificate', chain, () => chain.offer([{ ...w.owned(draft), certs: [] }], T1));
		const [first] = draft.body.members;
		if (first === undefined) throw new Error('a member');
		broken('slots', chain, () => chain.offer([forged(draft, { members: [{ ...first, slot: 8 }] }, [w.owner])], T1));
		broken('time', chain, () => chain.offer([forged(draft, { ts: T1 + 30_001 }, [w.owner])], T1));
		const misnumbered = forged(draft, { e: 0 }, [w.owner]);
		expect(() => EpochChain.found(w.charter, misnumbered, T1)).to.throw('epoch 0 names one before it');
	});

	it('spoken twice at one number: the lower CID holds, for everybody', () => {
		const draft = (tsMs: number) => w.owned(begin().draft([], { tsMs }));
		const words = [draft(T1), draft(T1 + 1)];
		const cids = words.map(({ epoch }) => peekRecord('epoch', epoch).cid).sort();
		for (const order of [words, [...words].reverse()]) {
			const chain = begin();
			for (const word of order) chain.offer([word], T1);
			expect(chain.head.cid).to.equal(cids[0]);
		}
		const [one, other] = words.map(({ epoch }) => EpochChain.found(w.charter, { epoch, certs: founding.certs }, T1));
		if (one === undefined || other === undefined) throw new Error('two words');
		// However many epochs follow the one that loses.
		const loser = one.head.cid === cids[0] ? other : one;
		const winner = loser === one ? other : one;
		grow(loser, a, []);
		expect(loser.isBehind(winner.position)).to.equal(true);
		expect(winner.isBehind(loser.position)).to.equal(false);
		expect(winner.offer(loser.linksSince(-1), T1)).to.deep.equal({ type: 'known' });
		expect(loser.offer(winner.linksSince(-1), T1).type).to.equal('extended');
		expect(loser.head).to.deep.equal(winner.head);
	});
});

describe('charters', () => {
	it('of the same terms, or looser ones, hold at once', () => {
		const chain = begin();
		const renewal = w.charterWith({ seq: 1 });
		expect(chain.takeCharter(renewal)).to.equal(true);
		expect(chain.takeCharter(renewal)).to.equal(false);
		expect(chain.takeCharter(w.charter)).to.equal(false);
		expect(chain.takeCharter(w.charterWith({ era: 2, slotsMax: 9 }))).to.equal(true);
		grow(chain, a, [admit(w.replica(8))]);
	});

	it('of tighter terms hold from the owner’s next epoch of their era', () => {
		const chain = begin();
		const tighter = w.charterWith({ era: 2, admit: { k: 2 }, certTtlMs: HOUR_MS });
		expect(chain.takeCharter(tighter)).to.equal(false);
		expect(chain.signaturesNeeded).to.equal(1);
		grow(chain, a, [admit(c)]);
		const word = w.owned(chain.draft([], { tsMs: T1, era: 2 }));
		// Its members were let in under other terms, and the owner keeps them.
		expect(chain.offer([word], T1).type).to.equal('extended');
		expect(chain.charter.cid).to.equal(tighter.cid);
		expect(chain.signaturesNeeded).to.equal(2);
		broken('lifetime', chain, () => chain.draft([admit(d)], { tsMs: T1 }));
		expect(EpochChain.from(tighter, chain.linksSince(-1), T1).head).to.deep.equal(chain.head);
	});

	it('of another workload or owner are refused', () => {
		const chain = begin();
		broken('workload', chain, () => chain.takeCharter(createEpochWorkload({ era: 9 }).charter));
		expect(() => EpochChain.found(w.charterWith({ era: 0 }), founding, NOW_MS)).to.throw('the charter of era 0');
	});
});
