import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createEpochWorkload, renewed, signedLink } from '../../identity/epochs/test/workload.ts';
import { createNodeKeys, type EpochChain, openReplicaCert } from '../../identity/index.ts';
import { DAY_MS, NOW_MS } from '../../identity/test/fixtures.ts';
import type { EpochLink, MachineId } from '../../wire/index.ts';
import { Trust } from '../trust.ts';

describe('whom a replica believes', () => {
	const machineId = createNodeKeys().peer.peerId as MachineId;
	const workload = createEpochWorkload();
	const [first, second] = [workload.replica(0), workload.replica(1, 1, { machineId })];
	const link = workload.foundingLink([first, second]);
	const certOf = (replica: typeof first) => openReplicaCert(replica.cert(NOW_MS));

	function trustOf(revoked: ReadonlySet<MachineId>, nowMs = () => NOW_MS + 1_000): Trust {
		const trust = new Trust({
			owner: workload.owner.publicKey,
			openCharter: () => workload.charter,
			find: async () => [],
			isRevoked: (id) => revoked.has(id),
			nowMs,
		});
		trust.learn({ charter: workload.charter.envelope, links: [link] });
		return trust;
	}

	it('no member any more whose machine the mesh has put out, from one moment to the next', async () => {
		const revoked = new Set<MachineId>();
		const trust = trustOf(revoked);
		for (const replica of [first, second]) expect(trust.memberOf(certOf(replica))).to.equal(true);
		revoked.add(machineId);
		expect(trust.memberOf(certOf(first))).to.equal(true);
		const out = certOf(second);
		expect(trust.memberOf(out)).to.equal(false);
		expect(trust.isOut(out.body, out.cid)).to.equal(true);
		const refused = await trust.require(out.envelope).catch((error: Error) => error);
		expect(refused).to.include({ code: 'unauthorized' });
		expect((refused as Error).message).to.contain('which the mesh has revoked');
	});

	it('a replica by its key: a certificate that has been renewed since names it, too, but not another’s', async () => {
		let nowMs = NOW_MS + 1_000;
		const trust = trustOf(new Set(), () => nowMs);
		const old = certOf(second);
		const chain = trust.chain(workload.charter.body.wid) as EpochChain;
		nowMs = NOW_MS + DAY_MS / 2;
		const fresh = renewed(workload.charter, second, old.envelope, nowMs);
		const draft = chain.draft([{ type: 'renew', cert: fresh }], { tsMs: nowMs });
		trust.offer(workload.charter.body.wid, [signedLink(draft, [second])]);
		// Later than any that were displaced may stay, and after the old certificate has ended.
		for (const later of [nowMs + 120_000, NOW_MS + DAY_MS + 60_000]) {
			nowMs = later;
			expect(trust.memberOf(old)).to.equal(true);
			expect(trust.isOut(old.body, old.cid)).to.equal(false);
			expect((await trust.require(old.envelope)).cid).to.equal(openReplicaCert(fresh).cid);
		}
		const other = certOf(workload.replica(1, 1));
		expect(trust.memberOf(other)).to.equal(false);
		nowMs = NOW_MS + 2 * DAY_MS;
		expect(trust.memberOf(old)).to.equal(false);
	});

	it('the better of two histories, and tells nobody of the other, however often it is offered', () => {
		const trust = trustOf(new Set());
		const { wid } = workload.charter.body;
		const chain = trust.chain(wid) as EpochChain;
		const [one, other] = [2, 3].map((slot) => {
			const cert = workload.replica(slot).cert(NOW_MS);
			return signedLink(chain.draft([{ type: 'admit', cert }], { tsMs: NOW_MS + 500 }), [first]);
		});
		let changes = 0;
		trust.onChange(() => {
			changes++;
			// As it is when sessions are looked at again: what their replicas showed is offered once more.
			for (const link of [one, other]) trust.offer(wid, [link as EpochLink]);
		});
		trust.offer(wid, [one as EpochLink]);
		const { cid } = chain.head;
		const told = changes;
		expect(told).to.be.within(1, 2);
		for (const link of [one, other, one]) trust.offer(wid, [link as EpochLink]);
		expect(chain.head.cid).to.equal(cid);
		expect(changes).to.equal(told);
	});
});
