import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { MachineId } from '../../wire/index.ts';
import { createNodeKeys, type NodeKeys } from '../machine.ts';
import { MachineTrust } from '../machine-trust.ts';
import { signRecord } from '../records.ts';
import { createUlid } from '../ulid.ts';
import { createTestMesh, createWorkload, DAY_MS, flipped, NOW_MS, refused } from './fixtures.ts';

const idOf = ({ peer }: NodeKeys) => peer.peerId as MachineId;

describe('epochs, as a machine takes them', () => {
	const { mesh, epoch, epochAfter, credentialOf } = createTestMesh();
	const bee = createNodeKeys();

	it('begin with the one of the bundle, which has to be the root’s', () => {
		expect(new MachineTrust(mesh, epoch).epoch.body.seq).to.equal(1);
		const other = createTestMesh();
		refused('unauthorized', () => new MachineTrust(mesh, other.epoch));
		const forged = epochAfter(epoch, { mesh: other.mesh.cid });
		refused('unauthorized', () => new MachineTrust(mesh, forged));
		for (const bytes of flipped(epoch)) expect(() => new MachineTrust(mesh, bytes)).to.throw();
	});

	it('go forward only, skipping what was missed', () => {
		const trust = new MachineTrust(mesh, epoch);
		const [second, third] = [epochAfter(epoch), epochAfter(epochAfter(epoch))];
		expect(trust.offerEpoch(epoch)).to.equal(false);
		expect(trust.offerEpoch(third)).to.equal(true);
		expect(trust.offerEpoch(second)).to.equal(false);
		expect(trust.offerEpoch(third)).to.equal(false);
		expect(trust.epoch.body.seq).to.equal(3);
	});

	it('are told to those who listen, after they hold, and to nobody else', () => {
		const trust = new MachineTrust(mesh, epoch);
		const told: number[] = [];
		const listening = trust.onEpoch(({ body }) => told.push(body.seq, trust.epoch.body.seq));
		trust.offerEpoch(epochAfter(epoch));
		listening[Symbol.dispose]();
		trust.offerEpoch(epochAfter(epochAfter(epoch)));
		expect(told).to.deep.equal([2, 2]);
	});

	it('are refused when they are not the root’s, and then nothing changes', () => {
		const trust = new MachineTrust(mesh, epoch);
		trust.learn(credentialOf(bee), NOW_MS);
		const { body } = new MachineTrust(mesh, epochAfter(epoch, { revoked: [idOf(bee)] })).epoch;
		refused('unauthorized', () => trust.offerEpoch(signRecord('mesh-epoch', body, bee.signer)));
		refused('unauthorized', () => trust.offerEpoch(createTestMesh().epochAfter(epoch)));
		refused('invalid_input', () => trust.offerEpoch(new Uint8Array([0xa0])));
		expect(trust.epoch.body.seq).to.equal(1);
		expect(trust.machine(idOf(bee), NOW_MS)?.machineId).to.equal(idOf(bee));
	});

	it('are a conflict when the root signed two of one number', () => {
		const trust = new MachineTrust(mesh, epoch);
		refused('conflict', () => trust.offerEpoch(epochAfter(undefined, { revoked: [idOf(bee)] })));
		expect(trust.isRevoked(idOf(bee))).to.equal(false);
	});
});

describe('machines of a mesh', () => {
	const { mesh, epoch, epochAfter, credentialOf } = createTestMesh();
	const [bee, ant] = [createNodeKeys(), createNodeKeys()];

	it('are known once their credential was seen, until it ends', () => {
		const trust = new MachineTrust(mesh, epoch);
		expect(trust.machine(idOf(bee), NOW_MS)).to.equal(undefined);
		const { cid } = trust.learn(credentialOf(bee), NOW_MS);
		expect(trust.machine(idOf(bee), NOW_MS)?.cid).to.equal(cid);
		expect(trust.byCid(cid)?.machineId).to.equal(idOf(bee));
		expect(trust.machine(idOf(bee), NOW_MS + 30 * DAY_MS + 1)).to.equal(undefined);
		expect(trust.machine(idOf(ant), NOW_MS)).to.equal(undefined);
	});

	it('keep their newest certificate, in whichever order they come', () => {
		const renewal = credentialOf(bee, { nbf: NOW_MS + DAY_MS, exp: NOW_MS + 31 * DAY_MS });
		const atMs = NOW_MS + DAY_MS;
		for (const order of [
			[credentialOf(bee), renewal],
			[renewal, credentialOf(bee)],
		]) {
			const trust = new MachineTrust(mesh, epoch);
			const cids = order.map((credential) => trust.learn(credential, atMs).cid);
			const [newest, older] = order[0] === renewal ? cids : cids.reverse();
			expect(trust.machine(idOf(bee), atMs)?.exp).to.equal(NOW_MS + 31 * DAY_MS);
			expect(trust.byCid(newest ?? '')?.machineId).to.equal(idOf(bee));
			expect(trust.byCid(older ?? '')).to.equal(undefined);
		}
	});

	it('are out from the epoch that names them, with a certificate that has not ended', () => {
		const trust = new MachineTrust(mesh, epoch);
		const { cid } = trust.learn(credentialOf(bee), NOW_MS);
		trust.learn(credentialOf(ant), NOW_MS);
		trust.offerEpoch(epochAfter(epoch, { revoked: [idOf(bee)] }));
		expect(trust.isRevoked(idOf(bee))).to.equal(true);
		expect(trust.machine(idOf(bee), NOW_MS)).to.equal(undefined);
		expect(trust.byCid(cid)).to.equal(undefined);
		refused('unauthorized', () => trust.learn(credentialOf(bee), NOW_MS));
		refused('unauthorized', () => trust.learn(credentialOf(bee, { nbf: NOW_MS + 1 }), NOW_MS));
		expect(trust.machine(idOf(ant), NOW_MS)?.machineId).to.equal(idOf(ant));
		const fresh = new MachineTrust(mesh, trust.epoch.envelope);
		refused('unauthorized', () => fresh.learn(credentialOf(bee), NOW_MS));
	});

	it('speak for themselves only, and only while they are known', () => {
		const trust = new MachineTrust(mesh, epoch);
		const { wid } = createWorkload();
		const lease = (machine: NodeKeys, signer = machine) => {
			const body = {
				wid,
				slot: 0,
				gen: 1,
				machineId: idOf(machine),
				awardId: createUlid(1),
				renewNonce: 1,
				ts: NOW_MS,
			};
			return signRecord('lease', body, signer.signer);
		};
		refused('unauthorized', () => trust.open('lease', lease(bee), NOW_MS));
		trust.learn(credentialOf(bee), NOW_MS);
		trust.learn(credentialOf(ant), NOW_MS);
		expect(trust.open('lease', lease(bee), NOW_MS).body.machineId).to.equal(idOf(bee));
		refused('unauthorized', () => trust.open('lease', lease(bee, ant), NOW_MS));
		refused('unauthorized', () => trust.open('lease', lease(bee), NOW_MS + 30 * DAY_MS + 1));
		refused('invalid_input', () => trust.open('presence', lease(bee), NOW_MS));
		trust.offerEpoch(epochAfter(epoch, { revoked: [idOf(bee)] }));
		refused('unauthorized', () => trust.open('lease', lease(bee), NOW_MS));
	});

	it('award what they asked for, and not what others did', () => {
		const trust = new MachineTrust(mesh, epoch);
		const { wid, charter } = createWorkload();
		const award = (requester: NodeKeys, signer = requester) => {
			const ids = { awardId: createUlid(1), tenderId: createUlid(1), wid, manifestCid: charter.manifestCid };
			const parties = { machineId: idOf(ant), requester: idOf(requester) };
			const body = { ...ids, ...parties, slot: 0, gen: 1, ts: NOW_MS, exp: NOW_MS + 120_000 };
			return signRecord('award', body, signer.signer);
		};
		trust.learn(credentialOf(bee), NOW_MS);
		trust.learn(credentialOf(ant), NOW_MS);
		expect(trust.openAward(award(bee), NOW_MS).body.requester).to.equal(idOf(bee));
		refused('unauthorized', () => trust.openAward(award(bee, ant), NOW_MS));
		refused('unauthorized', () => trust.openAward(award(bee), NOW_MS + 30_001));
		refused('unauthorized', () => trust.openAward(award(createNodeKeys()), NOW_MS));
	});
});
