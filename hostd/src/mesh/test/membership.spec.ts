import { createNodeKeys } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type TestHost, whenHosts } from './host.ts';
import { createTestRoot } from './root.ts';
import { startInSuite } from './suite-hosts.ts';

const DAY_MS = 24 * 3_600_000;

describe('members of a mesh, on QUIC', function () {
	this.timeout(20_000);
	const root = createTestRoot();
	const start = startInSuite();

	async function startThree(): Promise<[TestHost, TestHost, TestHost]> {
		const one = await start({ name: 'one' });
		const join = [one.node.addresses()[0] as string];
		const [two, three] = [await start({ name: 'two', join }), await start({ name: 'three', join })];
		for (const { node } of [one, two, three]) await whenHosts(node, (present) => present.length === 3);
		return [one, two, three];
	}

	const epochIs = ({ membership }: TestHost, seq: number, withSecrets = true): Promise<void> =>
		new Promise((resolve) => {
			const look = (): void => {
				if (membership.trust.epoch.body.seq !== seq || (withSecrets && membership.keyringMissing)) return;
				listening[Symbol.dispose]();
				resolve();
			};
			const listening = membership.onChange(look);
			look();
		});

	it('put a revoked machine out everywhere, and share secrets that it does not get', async () => {
		const [one, two, three] = await startThree();
		const beganMs = performance.now();
		const { envelope, keyring } = root.epoch(2, [three.membership.machineId]);
		one.membership.offerEpoch(envelope);
		one.membership.offerKeyring(keyring);
		await Promise.all([epochIs(one, 2), epochIs(two, 2)]);
		for (const { node } of [one, two]) {
			await whenHosts(node, (present) => present.length === 2);
			expect(node.rpc.get(three.membership.machineId)).to.equal(undefined);
		}
		expect(performance.now() - beganMs).to.be.below(5_000);
		expect(two.membership.keyrings.map(({ psk }) => psk)).to.deep.equal([keyring.psk, root.epoch(1).keyring.psk]);
		expect(three.membership.keyrings).to.not.deep.include(keyring);
		const refused = await three.node.rpc
			.connect(two.membership.machineId, { addresses: two.node.addresses(), signal: AbortSignal.timeout(3_000) })
			.then(
				() => undefined,
				(error: Error) => error,
			);
		expect(refused).to.be.instanceOf(Error);
		expect(two.node.hosts().map(({ machineId }) => machineId)).to.not.include(three.membership.machineId);
	});

	it('hear of an epoch that came while they were away', async () => {
		const one = await start({ name: 'one' });
		const { envelope, keyring } = root.epoch(2);
		one.membership.offerEpoch(envelope);
		one.membership.offerKeyring(keyring);
		const late = await start({ name: 'late', join: [one.node.addresses()[0] as string] });
		await epochIs(late, 2);
		expect(late.membership.keyrings[0]).to.deep.equal(keyring);
	});

	it('keep to the newest epoch, and to one of each number', async () => {
		const { membership } = await start({ name: 'one' });
		membership.offerEpoch(root.epoch(3).envelope);
		expect(membership.offerEpoch(root.epoch(2).envelope)).to.equal(false);
		const other = root.epoch(3, [createNodeKeys().peer.peerId as MachineId]).envelope;
		expect(() => membership.offerEpoch(other)).to.throw(/two epochs 3/);
		expect(() => membership.offerEpoch(createTestRoot('other').epoch(9).envelope)).to.throw();
		expect(membership.trust.epoch.body.seq).to.equal(3);
		expect(() => membership.offerKeyring(root.epoch(2).keyring)).to.throw(/not the secrets/);
	});

	it('have their certificates renewed at half life by a machine that may', async () => {
		const keys = createNodeKeys();
		const delegation = root.delegate(keys, 1, 9);
		const enroller = await start({ name: 'enroller', membership: root.enrol(keys, {}, { enroller: delegation }) });
		const nowMs = Date.now();
		const old = { nbf: nowMs - 20 * DAY_MS, exp: nowMs + 10 * DAY_MS };
		const membership = root.enrol(createNodeKeys(), { ...old, serial: 5 });
		const { cid } = membership.self;
		const renewed = new Promise<void>((resolve) => membership.onChange(resolve));
		await start({ name: 'old', membership, join: [enroller.node.addresses()[0] as string] });
		await renewed;
		expect(membership.self.exp).to.be.above(nowMs + 29 * DAY_MS);
		expect(membership.self.cid).to.equal(cid);
	});

	it('stay as they are where nobody may renew them, or not this one', async () => {
		const keys = createNodeKeys();
		const delegation = root.delegate(keys, 1, 4);
		const enroller = await start({ name: 'enroller', membership: root.enrol(keys, {}, { enroller: delegation }) });
		const plain = await start({ name: 'plain', join: [enroller.node.addresses()[0] as string] });
		const nowMs = Date.now();
		const membership = root.enrol(createNodeKeys(), { nbf: nowMs - 20 * DAY_MS, exp: nowMs + DAY_MS, serial: 5 });
		const before = membership.self.exp;
		const join = [enroller, plain].map(({ node }) => node.addresses()[0] as string);
		const old = await start({ name: 'old', membership, join });
		await whenHosts(old.node, (present) => present.length === 3);
		expect(membership.self.exp).to.equal(before);
	});
});
