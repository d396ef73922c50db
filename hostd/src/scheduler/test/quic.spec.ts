import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { startHost, whenHosts } from '../../mesh/test/host.ts';
import { type SchedulerHost, startScheduler } from './cluster.ts';
import { createWorkload, ofType, placeAndAdmit } from './workload.ts';

describe('scheduler on QUIC', function () {
	this.timeout(20_000);
	const hosts: SchedulerHost[] = [];

	afterEach(async () => {
		await Promise.all(hosts.splice(0).map((host) => host[Symbol.asyncDispose]()));
	});

	async function startThree(): Promise<[SchedulerHost, SchedulerHost, SchedulerHost]> {
		let join: readonly string[] = [];
		for (const name of ['one', 'two', 'three']) {
			const { node } = await startHost({ name, join });
			if (join.length === 0) join = [node.addresses()[0] as string];
			hosts.push(startScheduler(node));
		}
		await Promise.all(hosts.map(({ mesh }) => whenHosts(mesh, (present) => present.length === 3)));
		// Presence is complete before the last sessions are; a test that stops a host wants everybody to notice.
		for (const { mesh } of hosts) {
			for (const { machineId, addresses } of mesh.hosts().slice(1)) await mesh.rpc.connect(machineId, { addresses });
		}
		return hosts as [SchedulerHost, SchedulerHost, SchedulerHost];
	}

	it('places three slots on three hosts, as soon as they have met', async () => {
		const [one, two, three] = await startThree();
		const workload = createWorkload();
		const events = await placeAndAdmit(one.scheduler, workload, workload.request(one.machineId, 3));
		expect(ofType(events, 'outcome').map(({ outcome }) => outcome)).to.deep.equal(['deployed', 'deployed', 'deployed']);
		expect([one, two, three].map(({ pods }) => pods.size)).to.deep.equal([1, 1, 1]);
		expect(ofType(events, 'bid')).to.have.length(3);
	});

	it('goes on with two hosts when the third stops, and says what is missing', async () => {
		const [one, two, three] = await startThree();
		const workload = createWorkload();
		await three[Symbol.asyncDispose]();
		await Promise.all([one, two].map(({ mesh }) => whenHosts(mesh, (present) => present.length === 2)));
		const events = await placeAndAdmit(two.scheduler, workload, workload.request(two.machineId, 2));
		expect(ofType(events, 'outcome').map(({ outcome }) => outcome)).to.deep.equal(['deployed', 'deployed']);
		expect([one, two].map(({ pods }) => pods.size)).to.deep.equal([1, 1]);
		const huge = { resources: { cpuMillis: 900_000, memoryBytes: 0, diskBytes: 0 } };
		const starved = await placeAndAdmit(two.scheduler, workload, workload.request(two.machineId, 1, huge));
		expect(ofType(starved, 'starved')[0]).to.deep.include({
			hostsAsked: 2,
			reasons: [{ requirement: 'cpu: needs 900, 3900m free', hosts: 2 }],
		});
	});

	it('heals a lost slot under its next generation, from another host', async () => {
		const [one, two] = await startThree();
		const workload = createWorkload();
		await placeAndAdmit(one.scheduler, workload, workload.request(one.machineId, 1));
		const tender = workload.sign(workload.tender(two.machineId, [{ slot: 0, gen: 2 }]));
		const events = await placeAndAdmit(two.scheduler, workload, { tender, keepTrying: false });
		expect(ofType(events, 'outcome')[0]).to.include({ outcome: 'deployed', gen: 2 });
	});

	it('leaves nothing of an offer behind', async () => {
		const three = await startThree();
		const workload = createWorkload();
		await placeAndAdmit(three[0].scheduler, workload, workload.request(three[0].machineId, 1));
		const losers = three.filter(({ pods }) => pods.size === 0);
		expect(losers).to.have.length(2);
		await Promise.all(
			losers.map(
				({ resources }) =>
					new Promise<void>((resolve) => {
						const look = (): void => {
							if (resources.usage().reserved.cpuMillis === 0) resolve();
						};
						resources.onChange(look);
						look();
					}),
			),
		);
	});
});
