import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MeshError } from '../../../errors.ts';
import type { EpochLink } from '../../../wire/index.ts';
import { openRecord, peekRecord } from '../../records.ts';
import { DAY_MS, NOW_MS } from '../../test/fixtures.ts';
import { type CharterOpened, EpochChain } from '../chain.ts';
import { draftCheckpoint, requireCheckpoint } from '../checkpoint.ts';
import {
	chainOfRosters,
	openCheckpoint,
	openRoster,
	ROSTER_BYTES_MAX,
	type Roster,
	sealCheckpoint,
	sealRoster,
} from '../roster.ts';
import { broken, commit, createEpochWorkload, forged, signedLink, type TestReplica } from './workload.ts';

/** A workload whose slot 1 has been replaced so often. */
function replaced(times: number) {
	const workload = createEpochWorkload();
	const stays = workload.replica(0);
	const founding = workload.foundingLink([stays, workload.replica(1)]);
	const chain = EpochChain.found(workload.charter, founding, NOW_MS);
	for (let gen = 2; gen <= times + 1; gen++) admit(chain, stays, workload.replica(1, gen), gen);
	const checkpoint = (from = chain): EpochLink => workload.owned(draftCheckpoint(from, NOW_MS));
	const copy = (): EpochChain => EpochChain.from(workload.charter, chain.linksSince(-1), NOW_MS);
	return { workload, stays, chain, founding, checkpoint, copy };
}

function admit(chain: EpochChain, signer: TestReplica, newcomer: TestReplica, key: number): EpochLink {
	const options = { tsMs: NOW_MS, groupKeyCommit: commit(key) };
	const link = signedLink(chain.draft([{ type: 'admit', cert: newcomer.cert(NOW_MS) }], options), [signer]);
	chain.offer([link], NOW_MS);
	return link;
}

function conflicting(act: () => void): void {
	expect(act).to.throw(MeshError).with.property('code', 'conflict');
}

describe('a checkpoint: the owner confirms the members', () => {
	it('replaces everything before it, and changes nothing else', () => {
		const { chain, checkpoint } = replaced(5);
		const before = chain.head;
		expect(chain.linksSince(-1)).to.have.length(6);
		const link = checkpoint();
		expect(link.certs).to.deep.equal([]);
		requireCheckpoint(chain, link, NOW_MS);
		expect(chain.offer([link], NOW_MS)).to.deep.equal({ type: 'extended', joined: [], left: [] });
		expect(chain.linksSince(-1)).to.have.length(1);
		expect(chain.head.members).to.deep.equal(before.members);
		expect(chain.head.body.groupKeyCommit).to.deep.equal(before.body.groupKeyCommit);
		expect(chain.head.e).to.equal(before.e + 1);
		expect(chain.checkpoint.cid).to.equal(chain.head.cid);
	});

	it('is what newcomers, and those who have missed everything, go by; members admit after it as before', () => {
		const { workload, stays, chain, founding, checkpoint, copy } = replaced(3);
		const [behind, member] = [EpochChain.found(workload.charter, founding, NOW_MS), copy()];
		chain.offer([checkpoint()], NOW_MS);
		const told = chain.linksFor(member.head);
		member.offer(told, NOW_MS);
		behind.offer(chain.linksFor(behind.head), NOW_MS);
		const newcomer = EpochChain.from(workload.charter, chain.linksSince(-1), NOW_MS);
		const link = admit(chain, stays, workload.replica(1, 5), 9);
		for (const each of [member, behind, newcomer]) {
			expect(each.offer([link], NOW_MS).type).to.equal('extended');
			expect(each.head).to.deep.equal(chain.head);
			expect(each.linksSince(-1)).to.have.length(2);
		}
	});

	it('is refused by members who have gone further since', () => {
		const { workload, stays, chain, checkpoint } = replaced(2);
		const stale = checkpoint();
		admit(chain, stays, workload.replica(1, 4), 9);
		conflicting(() => requireCheckpoint(chain, stale, NOW_MS));
		const taken = checkpoint();
		chain.offer([taken], NOW_MS);
		conflicting(() => requireCheckpoint(chain, stale, NOW_MS));
		// Whoever spreads it nevertheless achieves nothing any more.
		expect(chain.offer([stale], NOW_MS).type).to.equal('known');
		expect(chain.checkpoint.cid).to.equal(peekRecord('epoch', taken.epoch).cid);
	});

	it('that reaches members at the same time as a newcomer puts it out; the slot is taken by another one', () => {
		const { workload, stays, chain, checkpoint, copy } = replaced(2);
		const other = copy();
		const link = checkpoint();
		const newcomer = workload.replica(1, 4);
		const admitted = admit(other, stays, newcomer, 9);
		chain.offer([link], NOW_MS);
		const outcome = other.offer(chain.linksSince(-1), NOW_MS);
		expect(outcome).to.deep.include({ type: 'forked', isSwitched: true });
		expect(outcome.type === 'forked' && outcome.left.map(({ gen }) => gen)).to.deep.equal([4]);
		expect(chain.offer([admitted], NOW_MS)).to.deep.equal({ type: 'gap', needs: 'links' });
		expect(other.head).to.deep.equal(chain.head);
		// The same replica is let in again, if it is still there.
		const again = admit(chain, stays, newcomer, 10);
		expect(other.offer([again], NOW_MS).type).to.equal('extended');
		expect(other.memberByCid(peekRecord('replica-cert', newcomer.cert(NOW_MS)).cid)?.gen).to.equal(4);
	});

	it('names no other members, and no other key', () => {
		const { workload, chain } = replaced(2);
		const draft = draftCheckpoint(chain, NOW_MS);
		const { members } = draft.body;
		const judge = (link: EpochLink) => () => requireCheckpoint(chain, link, NOW_MS);
		broken('vacancy', chain, judge(forged(draft, { groupKeyCommit: commit(77) }, [workload.owner])));
		broken('vacancy', chain, judge(forged(draft, { members: members.slice(0, 1) }, [workload.owner])));
		broken('number', chain, judge(forged(draft, { e: draft.body.e + 1 }, [workload.owner])));
		broken('era', chain, judge(forged(draft, { era: draft.body.era - 1 }, [workload.owner])));
		broken('time', chain, judge(forged(draft, { ts: NOW_MS + 31_000 }, [workload.owner])));
	});

	it('is the owner’s only', () => {
		const { workload, stays, chain } = replaced(2);
		const draft = draftCheckpoint(chain, NOW_MS);
		for (const signer of [stays, createEpochWorkload().owner])
			broken('signers', chain, () => requireCheckpoint(chain, signedLink(draft, [signer]), NOW_MS));
		requireCheckpoint(chain, workload.owned(draft), NOW_MS);
	});

	it('waits for members to do without those whose certificates are over', () => {
		const { chain } = replaced(1);
		broken('validity', chain, () => draftCheckpoint(chain, NOW_MS + 2 * DAY_MS));
	});
});

describe('what is left with hosts', () => {
	const psk = new Uint8Array(32).fill(1);
	const otherPsk = new Uint8Array(32).fill(2);

	it('opens for replicas of the owner, for the workload that it is of, and as what it is', () => {
		const { workload, chain, checkpoint } = replaced(1);
		const { wid } = workload.charter.body;
		const elsewhere = createEpochWorkload().charter.body.wid;
		const roster: Roster = { charter: workload.charter.envelope, links: chain.linksSince(-1) };
		const link = checkpoint();
		const sealed = sealRoster(psk, wid, roster) as Uint8Array;
		const given = sealCheckpoint(psk, wid, link);
		expect(openRoster(psk, wid, sealed)).to.deep.equal(roster);
		expect(openCheckpoint(psk, wid, given)).to.deep.equal(link);
		for (const act of [
			() => openRoster(otherPsk, wid, sealed),
			() => openRoster(psk, elsewhere, sealed),
			() => openRoster(psk, wid, given),
			() => openCheckpoint(otherPsk, wid, given),
			() => openCheckpoint(psk, elsewhere, given),
			() => openCheckpoint(psk, wid, sealed),
		])
			expect(act).to.throw(MeshError);
	});

	it('is nothing where it would not fit into a message', () => {
		const { workload } = replaced(0);
		const { wid } = workload.charter.body;
		const charter = workload.charter.envelope;
		const links = Array.from({ length: 17 }, () => ({ epoch: new Uint8Array(256 * 1024), certs: [] }));
		expect(sealRoster(psk, wid, { charter, links })).to.equal(undefined);
		const most = sealRoster(psk, wid, { charter, links: links.slice(0, 15) });
		expect(most?.byteLength).to.be.lessThan(ROSTER_BYTES_MAX);
	});

	it('proves the newest membership together, whatever else is among it', () => {
		const { workload, stays, chain, copy } = replaced(2);
		const older = copy();
		admit(chain, stays, workload.replica(1, 4), 9);
		const stranger = replaced(1);
		const { charter } = workload;
		const newer = workload.charterWith({ era: charter.body.era + 1 });
		const open = (envelope: Uint8Array): CharterOpened => {
			const opened = openRecord('charter', envelope);
			if (!Buffer.from(opened.signer).equals(workload.owner.publicKey)) throw new MeshError('unauthorized', 'not ours');
			return opened;
		};
		const rosters: Roster[] = [
			{ charter: stranger.workload.charter.envelope, links: stranger.chain.linksSince(-1) },
			{ charter: new Uint8Array(3), links: [] },
			{ charter: newer.envelope, links: older.linksSince(-1) },
			{ charter: charter.envelope, links: chain.linksSince(-1) },
			{ charter: charter.envelope, links: chain.linksSince(-1).slice(1) },
		];
		for (const order of [rosters, rosters.toReversed()]) {
			const found = chainOfRosters(undefined, order, open, NOW_MS);
			expect(found?.head).to.deep.equal(chain.head);
			expect(found?.charter.cid).to.equal(newer.cid);
		}
		const known = chainOfRosters(undefined, rosters.slice(2, 3), open, NOW_MS);
		expect(known?.head).to.deep.equal(older.head);
		expect(chainOfRosters(known, rosters, open, NOW_MS)).to.equal(known);
		expect(known?.head).to.deep.equal(chain.head);
		expect(chainOfRosters(undefined, rosters.slice(0, 2), open, NOW_MS)).to.equal(undefined);
	});
});
