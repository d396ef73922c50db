import { openReasons, type PlaceEvent } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import {
	createKemKey,
	createKeyPair,
	createNodeKeys,
	createUlid,
	openMachineCredential,
	sealBundle,
} from '@beemesh/sdk/identity';
import type { Award, Tender } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { createTestRoot } from '../../mesh/test/root.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { admissionOf, createWorkload, ofType, placeAndAdmit, type TestWorkload } from './workload.ts';

describe('scheduler in a mesh in memory', function () {
	this.timeout(30_000);
	let cluster: Cluster | undefined;

	afterEach(async () => {
		await cluster?.[Symbol.asyncDispose]();
		cluster = undefined;
	});

	async function start(...args: Parameters<typeof startCluster>) {
		cluster = await startCluster(...args);
		const [first, second, third] = cluster.hosts;
		return { hosts: cluster.hosts, network: cluster.network, first: first as NonNullable<typeof first>, second, third };
	}

	it('is complete with 32 hosts, and places 32 slots one per host', async () => {
		// It ends when all have answered, however slow the machine is, and an award has its time too.
		const requester = { windowMs: 8_000, deliveryTimeoutMs: 8_000, awardTimeoutMs: 28_000 };
		const { hosts, first } = await start(32, { requester, bidder: { bidTtlMs: 20_000 } });
		const workload = createWorkload();
		const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 32));
		const outcomes = ofType(events, 'outcome');
		expect(outcomes.map(({ outcome }) => outcome)).to.deep.equal(Array(32).fill('deployed'));
		expect(new Set(outcomes.map(({ machineId }) => machineId)).size).to.equal(32);
		for (const host of hosts) {
			expect(host.pods.size).to.equal(1);
			expect(host.resources.usage().running.cpuMillis).to.equal(100);
		}
	});

	it('places 40 workloads from all sides at once, and promises nothing twice', async () => {
		const { hosts } = await start(32, { capacity: { memoryBytes: 8 * 1024 } });
		const placed = await Promise.all(
			Array.from({ length: 40 }, (_, i) => {
				const host = hosts[i % hosts.length] as (typeof hosts)[number];
				const workload = createWorkload(`web-${i}`);
				return placeAndAdmit(host.scheduler, workload, workload.request(host.machineId, 3, {}, true));
			}),
		);
		for (const events of placed) {
			expect(
				ofType(events, 'outcome')
					.map(({ slot, outcome }) => `${slot} ${outcome}`)
					.sort(),
			).to.deep.equal(['0 deployed', '1 deployed', '2 deployed']);
		}
		expect(hosts.reduce((sum, { pods }) => sum + pods.size, 0)).to.equal(120);
		for (const { resources, pods } of hosts) {
			expect(resources.usage().running.memoryBytes).to.equal(pods.size * 1024);
			expect(pods.size).to.be.at.most(8);
		}
	});

	it('obeys the nodeSelector', async () => {
		const { hosts, first } = await start(6);
		const workload = createWorkload();
		await placeAndAdmit(
			first.scheduler,
			workload,
			workload.request(first.machineId, 3, { nodeSelector: { parity: 'odd' } }),
		);
		expect(hosts.map(({ pods }) => pods.size)).to.deep.equal([0, 1, 0, 1, 0, 1]);
	});

	it('takes a host’s own word for a label that is declared as such', async () => {
		const label = 'self-declared.beemesh.io/disk';
		const declares = (i: number) => ({ disk: 'ssd', [label]: i === 1 ? 'ssd' : 'tape' });
		const { hosts, first } = await start(3, { declares });
		const workload = createWorkload();
		const own = workload.request(first.machineId, 1, { nodeSelector: { [label]: 'ssd' } });
		await placeAndAdmit(first.scheduler, workload, own);
		expect(hosts.map(({ pods }) => pods.size)).to.deep.equal([0, 1, 0]);
		const certified = createWorkload('other');
		const events = await placeAndAdmit(
			first.scheduler,
			certified,
			certified.request(first.machineId, 1, { nodeSelector: { disk: 'ssd' } }),
		);
		expect(ofType(events, 'starved')[0]?.reasons).to.deep.equal([
			{ requirement: 'nodeSelector: needs disk=ssd, the host is certified for no such label', hosts: 3 },
		]);
	});

	it('does not believe a captured host that has made up its labels, whatever it bids', async () => {
		const lie = { trusted: 'true', name: 'host-1' };
		const { hosts, first } = await start(3, {
			declares: (i) => (i === 2 ? lie : {}),
			requester: { windowMs: 10_000 },
		});
		const liar = hosts[2] as NonNullable<(typeof hosts)[number]>;
		// What its own programs read is its own to change; its certificate, as others have it, is not.
		Object.assign(liar.mesh.membership.self.cert.labels, lie);
		liar.mesh.announce();
		expect(liar.mesh.self().labels).to.include(lie);
		for (const [nodeSelector, pods, unmet] of [
			[{ name: 'host-1' }, [0, 1, 0], 'needs name=host-1, the host has host-2'],
			[{ trusted: 'true' }, [0, 1, 0], 'needs trusted=true, the host is certified for no such label'],
		] as const) {
			const workload = createWorkload(`of-${Object.keys(nodeSelector)[0]}`);
			const request = workload.request(first.machineId, 1, { nodeSelector });
			const events = await placeAndAdmit(first.scheduler, workload, request);
			const bid = ofType(events, 'bid').find(({ machineId }) => machineId === liar.machineId);
			expect(bid).to.include({ score: 0, slotsOffered: 0, reason: `nodeSelector: ${unmet}` });
			for (const { machineId } of ofType(events, 'awarded')) expect(machineId).not.to.equal(liar.machineId);
			expect(hosts.map((host) => host.pods.size)).to.deep.equal(pods);
			for (const { mesh } of hosts.slice(0, 2)) {
				const seen = mesh.hosts().find(({ machineId }) => machineId === liar.machineId);
				expect(seen?.labels).to.deep.equal({ name: 'host-2', parity: 'even' });
			}
		}
	});

	it('says which requirement nobody met, and ends', async () => {
		const { first } = await start(3);
		const workload = createWorkload();
		const resources = { cpuMillis: 100, memoryBytes: 900 * 2 ** 30, diskBytes: 0 };
		const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1, { resources }));
		expect(events.at(-1)).to.deep.equal({
			type: 'starved',
			slots: [{ slot: 0, gen: 1 }],
			hostsAsked: 3,
			reasons: [{ requirement: 'memory: needs 900Gi, 64Ki free', hosts: 3 }],
		});
	});

	it('keeps trying when asked to, until there is room', async () => {
		const { first } = await start(1, { capacity: { memoryBytes: 0 } });
		const workload = createWorkload();
		let starved = 0;
		const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1, {}, true), {
			onEvent(event) {
				if (event.type !== 'starved') return;
				starved++;
				first.resources.setAllocatable({ cpuMillis: 1_000, memoryBytes: 4_096, diskBytes: 0 });
			},
		});
		expect(starved).to.equal(1);
		expect(ofType(events, 'outcome')[0]?.outcome).to.equal('deployed');
		expect(new Set(ofType(events, 'tendered').map(({ tenderId }) => tenderId)).size).to.equal(2);
	});

	it('reports why a deployment failed, and gives its resources back', async () => {
		const { first } = await start(1, {
			deploy: async () => {
				throw new MeshError('not_found', 'ImagePull: no image nginx:nope');
			},
		});
		const workload = createWorkload();
		const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1));
		expect(ofType(events, 'outcome')[0]).to.include({ outcome: 'failed', reason: 'ImagePull: no image nginx:nope' });
		expect(first.resources.free()).to.deep.equal(first.resources.allocatable());
	});

	it('reports why every host refuses a workload at its award, starts nothing and keeps nothing for it', async () => {
		const field = 'spec.template.spec.hostNetwork: refused by this host’s policy';
		const { first, hosts } = await start(3, {
			admits: () => {
				throw new MeshError('invalid_input', field);
			},
			deploy: async () => {
				throw new Error('deployed all the same');
			},
		});
		const workload = createWorkload();
		const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1));
		const rejected = ofType(events, 'rejected');
		expect(new Set(rejected.map(({ machineId }) => machineId)).size).to.equal(3);
		for (const { reason } of rejected) expect(reason).to.equal(`invalid_input: ${field}`);
		expect(ofType(events, 'outcome')).to.deep.equal([]);
		expect(events.at(-1)).to.include({ type: 'starved', hostsAsked: 3 });
		expect(ofType(events, 'starved').at(-1)?.reasons).to.deep.equal([
			{ requirement: `invalid_input: ${field}`, hosts: 3 },
		]);
		for (const { resources } of hosts) expect(resources.free()).to.deep.equal(resources.allocatable());
	});

	it('cancels unadmitted deployments on every host when the client goes', async () => {
		const started = Promise.withResolvers<void>();
		const aborted: string[] = [];
		const over = Promise.withResolvers<void>();
		let count = 0;
		const { first, hosts } = await start(3, {
			deploy: (award, _opened, signal) =>
				new Promise((_, reject) => {
					if (++count === 3) started.resolve();
					signal.addEventListener('abort', () => {
						aborted.push(award.awardId);
						reject(signal.reason);
						if (aborted.length === 3) over.resolve();
					});
				}),
		});
		const workload = createWorkload();
		const client = new AbortController();
		const placing = placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 3), {
			signal: client.signal,
		});
		await started.promise;
		client.abort();
		const events = await placing;
		expect(ofType(events, 'outcome').map(({ outcome }) => outcome)).to.deep.equal([
			'cancelled',
			'cancelled',
			'cancelled',
		]);
		await over.promise;
		for (const { resources } of hosts) expect(resources.usage().leased.cpuMillis).to.equal(0);
	});

	it('gives a slot up when its host is lost while it deploys', async () => {
		const { hosts, first, network } = await start(3, {
			deploy: () => new Promise(() => undefined),
			requester: { hostLossGraceMs: 500 },
		});
		const workload = createWorkload();
		const tender = workload.tender(first.machineId, [{ slot: 0, gen: 1 }]);
		const request = {
			tender: workload.sign({ ...tender, avoid: { hard: [first.machineId], soft: [] } }),
			bundle: workload.bundle,
			keepTrying: false,
		};
		const events = await placeAndAdmit(first.scheduler, workload, request, {
			onEvent(event) {
				if (event.type === 'accepted') network.crash(event.machineId);
			},
		});
		expect(ofType(events, 'outcome')[0]).to.include({
			outcome: 'failed',
			reason: 'the host was lost while it deployed',
		});
		expect(hosts).to.have.length(3);
	});

	describe('admission', () => {
		async function awaiting() {
			const awarded = Promise.withResolvers<{ readonly award: Award; readonly replyKey: Uint8Array }>();
			const { first } = await start(1, {
				deploy: (award, _opened, signal, replyKey) =>
					new Promise((_, reject) => {
						awarded.resolve({ award, replyKey });
						signal.addEventListener('abort', () => reject(signal.reason));
					}),
			});
			const workload = createWorkload();
			const client = new AbortController();
			const placing = placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1), {
				signal: client.signal,
			});
			const { award, replyKey } = await awarded.promise;
			const ask = (replica = createNodeKeys()) => {
				const { csrCid: _, ...papers } = admissionOf(award, first.mesh.membership.keys, replica);
				return { awardId: award.awardId, requester: award.requester, replyKey, ...papers };
			};
			const stop = async () => {
				client.abort();
				return placing;
			};
			return { first, workload, award, replyKey, ask, placing, stop };
		}
		const never = new AbortController().signal;
		const failure = (promise: Promise<unknown>): Promise<MeshError> =>
			promise.then(
				() => expect.fail('it was not refused'),
				(error: MeshError) => error,
			);

		it('gives the same answer to the same request, asked of the client once', async () => {
			const { first, ask, stop } = await awaiting();
			const question = ask();
			const [a, b] = await Promise.all([1, 2].map(() => first.scheduler.requestAdmission(question, never)));
			expect(a?.sealed).to.deep.equal(b?.sealed);
			expect((await first.scheduler.requestAdmission(question, never)).sealed).to.deep.equal(a?.sealed);
			expect(ofType(await stop(), 'csr')).to.have.length(1);
		});

		it('refuses another request on the same award', async () => {
			const { first, ask, stop } = await awaiting();
			await first.scheduler.requestAdmission(ask(), never);
			expect((await failure(first.scheduler.requestAdmission(ask(), never))).code).to.equal('conflict');
			await stop();
		});

		it('refused, ends the deployment: its pod would ask in vain for as long as it is started again', async () => {
			const { first, ask, placing } = await awaiting();
			await first.scheduler.requestAdmission(ask(), never);
			const { message } = await failure(first.scheduler.requestAdmission(ask(), never));
			expect(ofType(await placing, 'outcome')[0]).to.include({ outcome: 'failed', reason: message });
			expect(first.resources.free()).to.deep.equal(first.resources.allocatable());
		});

		it('refuses a request of another manifest, by another host, or on an unknown award', async () => {
			const { first, award, replyKey, stop } = await awaiting();
			const asked = (changed: Partial<Award>, key = first.mesh.membership.keys) => {
				const { csrCid: _, ...papers } = admissionOf({ ...award, ...changed }, key);
				return failure(
					first.scheduler.requestAdmission(
						{ awardId: changed.awardId ?? award.awardId, requester: award.requester, replyKey, ...papers },
						never,
					),
				);
			};
			const { manifestCid } = createWorkload('other').charter;
			expect((await asked({ manifestCid })).code).to.equal('unauthorized');
			expect((await asked({}, createNodeKeys())).code).to.equal('unauthorized');
			expect((await asked({ awardId: '0'.repeat(26) })).code).to.equal('conflict');
			expect(ofType(await stop(), 'csr')).to.have.length(0);
		});
	});

	describe('delivery of what is placed', () => {
		type Awarded = Extract<PlaceEvent, { type: 'awarded' }>;

		/** Places one slot on two hosts; `sealed` says what is delivered for each award, if anything. */
		async function placed(sealed: (award: Awarded, workload: TestWorkload) => Uint8Array | undefined) {
			const { first, hosts } = await start(2, { requester: { deliveryTimeoutMs: 200 } });
			const workload = createWorkload();
			const events: PlaceEvent[] = [];
			const raw: PlaceEvent[] = [];
			const { tender } = workload.request(first.machineId, 1);
			for await (const told of first.scheduler.place({ tender, keepTrying: false }, never)) {
				const event = openReasons(told, replies);
				raw.push(told);
				events.push(event);
				if (event.type !== 'awarded') continue;
				const bytes = sealed(event, workload);
				if (bytes !== undefined) first.scheduler.deliver({ awardId: event.awardId, sealed: bytes });
			}
			for (const { resources, pods } of hosts) {
				expect(pods.size).to.equal(0);
				expect(resources.usage().running.cpuMillis).to.equal(0);
			}
			return { events, raw, rejected: ofType(events, 'rejected'), first, hosts };
		}
		const { mesh } = createTestRoot();
		const replies = createKemKey();
		const never = new AbortController().signal;
		const opened = (credential: Uint8Array) => openMachineCredential(credential, mesh, Date.now());

		it('withheld, fails the award with its reason, and the next bid is tried', async () => {
			const { events, rejected } = await placed(() => undefined);
			expect(rejected.map(({ reason }) => reason)).to.deep.equal(
				Array(2).fill('deadline: whoever asked for this placement has not delivered the workload within 200 ms'),
			);
			expect(new Set(rejected.map(({ machineId }) => machineId)).size).to.equal(2);
			expect(events.at(-1)?.type).to.equal('starved');
		});

		it('for another award is refused by the winner', async () => {
			const { rejected } = await placed(({ credential }, { bundle }) =>
				sealBundle(bundle, createUlid(Date.now()), opened(credential), replies),
			);
			expect(rejected).to.have.length(2);
			for (const { reason } of rejected)
				expect(reason).to.equal('unauthorized: what was delivered is for another award');
		});

		it('for another machine cannot be opened by the winner', async () => {
			const stranger = createTestRoot().enrol();
			const { rejected } = await placed(({ awardId }, { bundle }) =>
				sealBundle(bundle, awardId, opened(stranger.credential), replies),
			);
			expect(rejected).to.have.length(2);
			for (const { reason } of rejected) expect(reason).to.match(/^unauthorized: /);
		});

		it('of another workload than the tendered one is refused by the winner', async () => {
			const other = createWorkload('other');
			const { rejected, raw } = await placed(({ awardId, credential }) =>
				sealBundle(other.bundle, awardId, opened(credential), replies),
			);
			expect(rejected).to.have.length(2);
			for (const { reason } of rejected)
				expect(reason).to.equal('unauthorized: the bundle is not that of the awarded workload and manifest');
			// The requester, which carries that, cannot read it.
			expect(JSON.stringify(raw)).not.to.contain('awarded workload and manifest');
		});

		it('is taken once, and not for an award that is over', async () => {
			let award: Awarded | undefined;
			const { first } = await placed((event) => {
				award = event;
				return undefined;
			});
			const { awardId = '' } = award ?? {};
			expect(() => first.scheduler.deliver({ awardId, sealed: new Uint8Array(1) }))
				.to.throw()
				.with.property('code', 'not_found');
		});
	});

	describe('a tender that is signed again', () => {
		it('is what was asked for, or nobody sees it', async () => {
			const { first } = await start(1, { capacity: { memoryBytes: 0 } });
			const workload = createWorkload();
			const stop = new AbortController();
			const request = workload.request(first.machineId, 1, {}, true);
			const refused: string[] = [];
			for await (const event of first.scheduler.place(request, stop.signal)) {
				if (event.type !== 'retender') continue;
				const { tenderId, slots } = event;
				const again = { ...workload.tender(first.machineId, slots), tenderId };
				for (const [what, body] of [
					['another slot', { ...again, slots: [{ slot: 5, gen: 1 }] }],
					['another need', { ...again, requirements: { ...again.requirements, images: ['other'] } }],
					['another round', { ...again, tenderId: createUlid(Date.now()) }],
				] as const) {
					const nonce = workload.tender(first.machineId, slots).nonce;
					try {
						first.scheduler.retender(workload.sign({ ...body, nonce } as Tender));
					} catch (error) {
						refused.push(`${what}: ${(error as MeshError).code}`);
					}
				}
				stop.abort();
			}
			expect(refused).to.deep.equal(['another slot: not_found', 'another need: not_found', 'another round: not_found']);
		});
	});

	describe('bad input', () => {
		it('is refused by every check, with nothing asked and nothing changed', async () => {
			const { hosts, first } = await start(2);
			const workload = createWorkload('web', 3);
			const other = createWorkload('other');
			const body = () => workload.tender(first.machineId, [{ slot: 0, gen: 1 }]);
			const flipped = workload.sign(body());
			flipped[flipped.byteLength - 1] = (flipped.at(-1) as number) ^ 1;
			const hourAgo = Date.now() - 3_600_000;
			const many = Array.from({ length: 4 }, (_, slot) => ({ slot, gen: 1 }));
			const cases: [string, Uint8Array, string][] = [
				['a forged signature', flipped, 'unauthorized'],
				['a key that was not granted', workload.sign(body(), createKeyPair()), 'unauthorized'],
				['another workload’s grant', workload.sign({ ...body(), grant: other.bundle.grant }), 'unauthorized'],
				['an expired tender', workload.sign({ ...body(), exp: Date.now() - 1 }), 'unauthorized'],
				['an old tender', workload.sign({ ...body(), ts: hourAgo }), 'unauthorized'],
				['more than the quota', workload.sign(workload.tender(first.machineId, many)), 'unauthorized'],
				['a slot twice', workload.sign({ ...body(), slots: [many[0], many[0]] as never }), 'invalid_input'],
				['another requester', workload.sign({ ...body(), requester: hosts[1]?.machineId as never }), 'invalid_input'],
				['noise', new Uint8Array([1, 2, 3]), 'invalid_input'],
			];
			for (const [name, tender, code] of cases) {
				const events = first.scheduler.place({ tender, keepTrying: false }, new AbortController().signal);
				const error = await Array.fromAsync(events).then(
					() => undefined,
					(thrown: MeshError) => thrown,
				);
				expect(error?.code, name).to.equal(code);
			}
			for (const { resources, pods } of hosts) {
				expect(resources.free()).to.deep.equal(resources.allocatable());
				expect(pods.size).to.equal(0);
			}
			// A good one after all those is served: none of them spent its rate or nonce.
			const events = await placeAndAdmit(first.scheduler, workload, workload.request(first.machineId, 1));
			expect(ofType(events, 'outcome')[0]?.outcome).to.equal('deployed');
		});

		it('refuses a tender that was used before', async () => {
			const { first } = await start(1);
			const workload = createWorkload();
			const request = workload.request(first.machineId, 1);
			await placeAndAdmit(first.scheduler, workload, request);
			const again = await placeAndAdmit(first.scheduler, workload, request).then(
				() => undefined,
				(error: MeshError) => error,
			);
			expect(again?.code).to.equal('conflict');
			expect(first.pods.size).to.equal(1);
		});
	});
});
