import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlaceEvent } from '@beemesh/sdk/api';
import { isMeshError, type MeshError } from '@beemesh/sdk/errors';
import {
	createKemKey,
	createKeyPair,
	openAdmission,
	openMachineCredential,
	openPapers,
	openRecord,
	sealBundle,
	sealTo,
	signWorkloadEnd,
} from '@beemesh/sdk/identity';
import { dialUnix, secureStream } from '@beemesh/sdk/streams';
import { encodeRecord, type MachineId, type OwnerId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { systemClock } from '../../mesh/index.ts';
import { machineSessionIdentity } from '../../mesh/session-identity.ts';
import { startHost, testLogger, whenHosts } from '../../mesh/test/host.ts';
import { createTestRoot } from '../../mesh/test/root.ts';
import { type SchedulerHost, startScheduler } from '../../scheduler/test/cluster.ts';
import { createWorkload } from '../../scheduler/test/workload.ts';
import { MachineWorkloadsApi } from '../../workloads/contract.ts';
import { EndedWorkloads } from '../../workloads/ended.ts';
import { Fleet } from '../../workloads/fleet.ts';
import type { PodStatus, WorkloadView } from '../contract.ts';
import { OWNER_RELAY, OWNER_SESSION } from '../owner-session.ts';
import { askFor } from '../preface.ts';
import { type OwnerApiOptions, serveOwners } from '../server.ts';
import { createTestOwner, openOwnerSession, secured, type TestOwner } from './owner.ts';
import { type Tamper, tapped } from './streams.ts';

const { mesh } = createTestRoot();
const CANARY = 'canary-7f3a';
const never = new AbortController().signal;

interface OwnerHost {
	readonly socket: string;
	readonly machineId: MachineId;
	readonly host: SchedulerHost;
	readonly ended: EndedWorkloads;
	/** What its owners' calls are answered with. */
	readonly views: Map<OwnerId, WorkloadView[]>;
	/** What it carries to others, to be seen and changed. */
	tamper: Tamper;
	/** Where it really goes for another host. */
	instead: MachineId | undefined;
	relaysMax: number;
}

describe('owners’ sessions', function () {
	this.timeout(20_000);
	const started = new AsyncDisposableStack();
	let folder: string;
	let one: OwnerHost;
	let two: OwnerHost;
	let three: OwnerHost;
	let owner: TestOwner;
	let stack: AsyncDisposableStack;

	before(async () => {
		folder = await mkdtemp(join(tmpdir(), 'beemesh-owners-'));
		let join_: readonly string[] = [];
		const hosts: OwnerHost[] = [];
		for (const name of ['one', 'two', 'three']) {
			const { node } = await startHost({ name, join: join_ });
			if (join_.length === 0) join_ = [node.addresses()[0] as string];
			hosts.push(await serve(started.use(startScheduler(node)), name));
		}
		[one, two, three] = hosts as [OwnerHost, OwnerHost, OwnerHost];
		await Promise.all(hosts.map(({ host }) => whenHosts(host.mesh, (present) => present.length === 3)));
		for (const { host } of hosts) {
			for (const { machineId, addresses } of host.mesh.hosts().slice(1))
				await host.mesh.rpc.connect(machineId, { addresses });
		}
	});
	after(async () => {
		await started.disposeAsync();
		await rm(folder, { recursive: true });
	});
	beforeEach(() => {
		owner = createTestOwner();
		stack = new AsyncDisposableStack();
		for (const host of [one, two, three]) Object.assign(host, { tamper: untouched, instead: undefined });
	});
	afterEach(() => stack.disposeAsync());

	async function serve(host: SchedulerHost, name: string): Promise<OwnerHost> {
		const { mesh: node, scheduler } = host;
		const ended = new EndedWorkloads();
		const views = new Map<OwnerId, WorkloadView[]>();
		const socket = join(folder, name, 'host.sock');
		const made: OwnerHost = {
			...{ socket, machineId: node.machineId, host, ended, views },
			...{ tamper: untouched, instead: undefined, relaysMax: 8 },
		};
		const fleet = new Fleet(node, {
			members: () => [],
			rosters: () => [],
			end: (end) => void ended.note(end, Date.now()),
		});
		node.rpc.services.serve(MachineWorkloadsApi, {
			members: () => ({ members: [] }),
			rosters: () => ({ sealed: [] }),
			ended: ({ end }) => {
				ended.note(end, Date.now());
				return {};
			},
		});
		const workloads: OwnerApiOptions['workloads'] = {
			inventory: (id) => views.get(id) ?? [],
			charter: () => 0,
			ownRosters: () => [],
			checkpoint: () => 0,
			async *logs(id, { podId }) {
				if (views.get(id) === undefined) return;
				yield { stream: 'stdout', timeMs: 0, line: `${podId} says ${CANARY}` };
			},
		};
		const info = () => ({
			...{ machineId: node.machineId, name, addresses: [...node.addresses()], version: '0', runtime: 'memory' },
			...{ runtimeVersion: '0', startedAtMs: 0, mesh: 'test', meshId: mesh.cid, cryptography: 'native' as const },
		});
		const { transport } = node;
		started.use(
			await serveOwners({
				...{ socket, mesh: node, scheduler, fleet, workloads, info },
				logger: testLogger(name),
				relay: { relaysMax: made.relaysMax },
				async dial(machineId, signal) {
					const presence = node.hosts().find((each) => each.machineId === (made.instead ?? machineId));
					if (presence === undefined) throw new Error('not there');
					const { addresses } = presence;
					const stream = await transport.dial(presence.machineId, OWNER_RELAY, { addresses, signal });
					return tapped(stream, (...seen) => made.tamper(...seen));
				},
			}),
		);
		return made;
	}

	async function session(entry: OwnerHost, target?: OwnerHost, as = owner) {
		return stack.use(await openOwnerSession(entry.socket, as, mesh, target?.machineId));
	}

	it('reach the host behind the socket, which proves to be of the mesh', async () => {
		const { api, machine } = await session(one);
		expect(machine.machineId).to.equal(one.machineId);
		expect((await api.info({})).machineId).to.equal(one.machineId);
		expect((await api.hosts({})).hosts).to.have.length(3);
	});

	it('reach any other host through it, and it is that host which answers', async () => {
		for (const target of [two, three]) {
			const { api, machine } = await session(one, target);
			expect(machine.machineId).to.equal(target.machineId);
			expect((await api.info({})).machineId).to.equal(target.machineId);
		}
	});

	it('show an owner its own workloads and logs, and no other owner’s', async () => {
		const other = createTestOwner();
		two.views.set(owner.id, [viewOf(owner, two)]);
		const mine = await session(one, two);
		expect((await mine.api.inventory({})).workloads).to.have.length(1);
		expect(await logsOf(mine.api)).to.have.length(1);
		const theirs = await session(one, two, other);
		expect((await theirs.api.inventory({})).workloads).to.deep.equal([]);
		expect(await logsOf(theirs.api)).to.deep.equal([]);
	});

	it('take charters and tenders of the caller only', async () => {
		const { api } = await session(one);
		const other = createWorkload();
		const { charter } = other.bundle;
		expect(await codeOf(api.charter({ charter }))).to.equal('unauthorized');
		const request = other.request(one.machineId, 1);
		expect(await codeOf(Array.fromAsync(api.place(request)))).to.equal('unauthorized');
		expect(await codeOf(api.retender({ tender: request.tender }))).to.equal('unauthorized');
	});

	it('are relayed unread: nothing of what is said passes through the entry host in the clear', async () => {
		two.views.set(owner.id, [viewOf(owner, two)]);
		const seen: Uint8Array[] = [];
		one.tamper = (chunk) => {
			seen.push(chunk.slice());
			return [chunk];
		};
		const { api } = await session(one, two);
		const told = JSON.stringify((await api.inventory({})).workloads);
		expect(told.split(CANARY).length).to.be.greaterThan(1);
		expect((await logsOf(api)).join()).to.contain(CANARY);
		const bytes = Buffer.concat(seen);
		expect(bytes.byteLength).to.be.greaterThan(10_000);
		for (const secret of [CANARY, owner.id, 'inventory', 'logs', 'beemesh.host'])
			expect(bytes.includes(secret), secret).to.equal(false);
	});

	describe('refuse', () => {
		it('another machine of the mesh in place of the one that was asked for', async () => {
			one.instead = three.machineId;
			expect(await codeOf(session(one, two))).to.equal('unauthorized');
		});

		it('the entry host in place of the one that was asked for', async () => {
			const raw = await dialUnix(one.socket);
			const { stream } = await askFor(raw, undefined);
			expect(await codeOf(secured(stream, owner.identity(mesh), two.machineId))).to.equal('unauthorized');
		});

		it('a host of another mesh, and an owner who takes it for one', async () => {
			const strangers = createTestRoot('strangers');
			expect(await codeOf(openOwnerSession(one.socket, owner, strangers.mesh))).to.equal('unauthorized');
		});

		it('a machine’s identity on the owners’ door', async () => {
			const { stream } = await askFor(await dialUnix(one.socket), undefined);
			const identity = machineSessionIdentity(three.host.mesh.membership, systemClock);
			const { machineId: remote } = one;
			const opening = secureStream(stream, { role: 'initiator', identity, protocol: OWNER_SESSION, remote });
			expect(await codeOf(opening)).to.equal('unauthorized');
		});
	});

	describe('through an entry host that meddles, end with an error and nothing else', () => {
		const meddlers: readonly (readonly [string, (calls: number) => Tamper])[] = [
			['alters a byte of what the owner says', (from) => nth('out', from, (chunk) => [flipped(chunk)])],
			['alters a byte of what the host says', (from) => nth('in', from, (chunk) => [flipped(chunk)])],
			['drops what the owner says', (from) => nth('out', from, (_, i) => (i === 0 ? [] : undefined))],
			['drops what the host says', (from) => nth('in', from, (_, i) => (i === 0 ? [] : undefined))],
			['says it twice to the host', (from) => nth('out', from, (chunk) => [chunk, chunk])],
			['says it twice to the owner', (from) => nth('in', from, (chunk) => [chunk, chunk])],
		];
		for (const [what, meddler] of meddlers)
			it(`${what}, in the handshake`, async () => {
				if (what.startsWith('drops')) {
					// Without the first word nobody can begin: it hangs up, as it would after the time limit.
					one.tamper = hangUp;
				} else one.tamper = meddler(0);
				const code = await codeOf(session(one, two).then(({ api }) => api.info({}, { timeout: 500 })));
				expect(['unauthorized', 'unavailable']).to.include(code);
			});
		for (const [what, meddler] of meddlers)
			it(`${what}, later`, async () => {
				const { api } = await session(one, two);
				await api.info({});
				one.tamper = meddler(0);
				// What came before the meddling may still be answered; afterwards the session is over.
				for (let i = 0; i < 2; i++) await codeOf(api.info({}, { timeout: 500 }));
				one.tamper = untouched;
				expect(await codeOf(api.info({}, { timeout: 500 }))).not.to.match(/^none/);
			});
	});

	it('are refused with words that help when the other host cannot be reached', async () => {
		const away = createTestRoot().enrol().machineId;
		const error = await openOwnerSession(one.socket, owner, mesh, away).catch((thrown: MeshError) => thrown);
		expect(error).to.include({ code: 'unavailable' });
		expect((error as MeshError).message).to.match(/^host 12D3KooW\S+ cannot be reached from host one: /);
	});

	it('are carried to others only so many at a time', async () => {
		const open = await Promise.all(Array.from({ length: one.relaysMax }, () => session(one, two)));
		expect(await codeOf(session(one, three))).to.equal('exhausted');
		await open[0]?.[Symbol.asyncDispose]();
		// Whoever speaks to the entry host itself is not counted.
		await session(one);
	});

	it('place a workload that only its winner can read', async () => {
		const workload = createWorkload(CANARY, 8, owner.signer, [{ name: 'TOKEN', value: CANARY }]);
		const entry = await session(one);
		const { deliver } = one.host.scheduler;
		const seen: unknown[] = [];
		one.host.scheduler.deliver = (request) => {
			seen.push(request.sealed);
			return deliver.call(one.host.scheduler, request);
		};
		const events: PlaceEvent[] = [];
		const replies = createKemKey();
		const request = workload.request(one.machineId, 1, { nodeSelector: { name: 'two' } });
		expect(Buffer.from(request.tender).includes(CANARY)).to.equal(false);
		for await (const event of entry.api.place(request, { signal: never })) {
			events.push(event);
			if (event.type === 'awarded') {
				const winner = openMachineCredential(event.credential, mesh, Date.now());
				expect(winner.machineId).to.equal(two.machineId);
				const { awardId } = event;
				await entry.api.deliver({ awardId, sealed: sealBundle(workload.bundle, awardId, winner, replies) });
			} else if (event.type === 'csr') {
				const { csr } = openAdmission(
					openPapers(event.papers, event.awardId, replies).csr,
					event.statement,
					openMachineCredential(event.credential, mesh, Date.now()),
				);
				const sealed = sealTo(csr.body.kemKey, 'admission', new TextEncoder().encode(CANARY));
				const answer = { admitted: true as const, sealed, members: [], foundingSlots: 0 };
				await entry.api.admit({ awardId: event.awardId, csrCid: csr.cid, answer });
			}
		}
		expect(events.at(-1)).to.include({ type: 'outcome', outcome: 'deployed', machineId: two.machineId });
		expect(two.host.pods.size).to.equal(1);
		expect(seen).to.have.length(1);
		for (const bytes of [...(seen as Uint8Array[]), ...events.map((event) => encodeRecord(event))])
			expect(Buffer.from(bytes).includes(CANARY)).to.equal(false);
		expect(Buffer.from(workload.bundle.manifest).includes(CANARY)).to.equal(true);
	});

	it('tell every host that a workload is over, by a record that names nothing', async () => {
		const { api } = await session(one);
		const of = { kind: 'Deployment' as const, namespace: 'default', name: CANARY, era: 7 };
		const end = signWorkloadEnd(of, owner.signer, Date.now());
		expect(Buffer.from(end).includes(CANARY)).to.equal(false);
		expect(await api.end({ end })).to.deep.equal({ hostsReached: 3 });
		for (const { ended } of [one, two, three]) expect(ended.envelopes()).to.deep.include(end);
		const { body } = openRecord('workload-end', end);
		const forged = signWorkloadEnd({ ...of, era: 8 }, createKeyPair(), Date.now());
		expect((await api.end({ end: forged })).hostsReached).to.equal(3);
		expect(() => one.ended.refuse(body.wid, 8)).not.to.throw();
	});
});

const untouched: Tamper = (chunk) => [chunk];

const hangUp: Tamper = () => {
	throw new Error('hung up');
};

/** Changes the chunk of this number in one direction; what `change` leaves undefined goes on as it is. */
function nth(
	direction: 'in' | 'out',
	from: number,
	change: (chunk: Uint8Array, index: number) => readonly Uint8Array[] | undefined,
): Tamper {
	let count = 0;
	return (chunk, towards) => {
		if (towards !== direction) return [chunk];
		const index = count++ - from;
		return index === 0 ? (change(chunk, index) ?? [chunk]) : [chunk];
	};
}

function flipped(chunk: Uint8Array): Uint8Array {
	const altered = chunk.slice();
	altered[altered.byteLength - 1] = (altered.at(-1) as number) ^ 1;
	return altered;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
	return promise.then(
		() => 'none',
		(error: unknown) => (isMeshError(error) ? error.code : `none: ${String(error)}`),
	);
}

function logsOf(api: Awaited<ReturnType<typeof openOwnerSession>>['api']) {
	const lines = api.logs({ podId: 'pod', follow: false, timestamps: false });
	return Array.fromAsync(lines, ({ line }) => line);
}

function viewOf(of: TestOwner, { machineId }: OwnerHost): WorkloadView {
	const { wid, bundle, charter } = createWorkload(CANARY, 8, of.signer, [{ name: 'TOKEN', value: CANARY }]);
	const pod: PodStatus = {
		...{ podId: 'pod', name: `${CANARY}-0`, namespace: 'default', kind: 'Deployment', workload: CANARY, wid },
		...{ owner: of.id, slot: 0, gen: 1, phase: 'Running', reason: '', ready: true, role: '', restarts: 0 },
		...{ createdAtMs: 0, machineId, machineName: 'two', image: 'image', endpoints: [], era: charter.era },
		...{ manifestCid: charter.manifestCid, pids: [] },
	};
	return { wid, charter: bundle.charter, manifest: bundle.manifest, pods: [pod] };
}
