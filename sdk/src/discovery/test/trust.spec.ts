import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createEpochWorkload } from '../../identity/epochs/test/workload.ts';
import { createNodeKeys, openReplicaCert } from '../../identity/index.ts';
import { NOW_MS } from '../../identity/test/fixtures.ts';
import type { MachineId } from '../../wire/index.ts';
import { Trust } from '../trust.ts';

describe('whom a replica believes', () => {
	const machineId = createNodeKeys().peer.peerId as MachineId;
	const workload = createEpochWorkload();
	const [first, second] = [workload.replica(0), workload.replica(1, 1, { machineId })];
	const link = workload.foundingLink([first, second]);
	const certOf = (replica: typeof first) => openReplicaCert(replica.cert(NOW_MS));

	function trustOf(revoked: ReadonlySet<MachineId>): Trust {
		const trust = new Trust({
			owner: workload.owner.publicKey,
			openCharter: () => workload.charter,
			find: async () => [],
			isRevoked: (id) => revoked.has(id),
			nowMs: () => NOW_MS + 1_000,
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
});
