/**
 * Goes on as a host whose state folder fell into the attacker's hands: it is that host in everything, listens to all that it
 * may hear, asks the others for all that they answer, and ignores that it was put out.
 */
import type { MemberHint } from '@beemesh/sdk/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { silentLogger, silentMetrics } from '@beemesh/sdk/telemetry';
import type { MachineId, OwnerId, WorkloadId } from '@beemesh/sdk/wire';
import { loadNodeKeys } from '../../../src/enrolment/node-keys.ts';
import { BundleStore } from '../../../src/enrolment/store.ts';
import { createMeshNode, MachineApi, Membership, type MeshNode } from '../../../src/mesh/index.ts';
import { MachineMeshApi } from '../../../src/mesh/mesh-api.ts';
import { presenceSource, whenHosts } from '../../../src/mesh/test/host.ts';
import { MachineWorkloadsApi } from '../../../src/workloads/contract.ts';

const CALL_MS = 2_000;
const CONNECT_MS = 2_000;

class DeafMembership extends Membership {
	override offerEpoch(): boolean {
		return false;
	}
}

let captured: { readonly node: MeshNode; readonly peers: readonly MachineId[]; readonly spoils: unknown[] } | undefined;

function taken(): NonNullable<typeof captured> {
	if (captured === undefined) throw new Error('no host was captured');
	return captured;
}

/** Resolves when it is in sessions with all of them. */
export async function captureHost(input: {
	readonly stateDir: string;
	readonly name: string;
	readonly join: readonly string[];
}): Promise<{ readonly pid: number }> {
	const keys = await loadNodeKeys(input.stateDir);
	const bundle = await new BundleStore(input.stateDir).read();
	if (bundle === undefined) throw new Error(`no bundle in ${input.stateDir}`);
	const node = await createMeshNode({
		membership: new DeafMembership(keys, bundle, Date.now()),
		name: input.name,
		labels: {},
		listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
		join: input.join,
		presence: presenceSource(),
		logger: silentLogger,
		metrics: silentMetrics,
	});
	const spoils: unknown[] = [];
	node.onTender('root', (tender) => {
		spoils.push(tender);
		return 'accept';
	});
	const keep = (asked: unknown): never => {
		spoils.push(asked);
		throw new MeshError('unavailable', 'not now');
	};
	// Tenders come by gossip, or where that has not found it yet, from whoever wants something placed.
	node.rpc.services.serve(MachineApi, {
		tender({ tender }) {
			spoils.push(tender);
			return {};
		},
		...{ bid: keep, award: keep, cancel: keep, close: keep, outcome: keep, admission: keep },
	});
	const peers = input.join.map((address) => address.split('/p2p/')[1] as MachineId);
	captured = { node, peers, spoils };
	await whenHosts(node, (present) => present.length > peers.length);
	while (node.rpc.sessions().length < peers.length) await new Promise((resolve) => setTimeout(resolve, 20));
	return { pid: process.pid };
}

/** Asks every host everything about these workloads; keeps in memory what it is told. How many answers there were. */
export async function plunder(input: {
	readonly wids: readonly WorkloadId[];
	readonly owner: OwnerId;
}): Promise<{ readonly answers: number; readonly refusals: readonly string[] }> {
	const { node, peers, spoils } = taken();
	const refusals: string[] = [];
	let answers = 0;
	const ask = async (question: () => Promise<unknown>): Promise<void> => {
		try {
			spoils.push(await question());
			answers++;
		} catch (error) {
			refusals.push(isMeshError(error) ? error.code : String(error));
		}
	};
	for (const peer of peers) {
		const addresses = node.hosts().find(({ machineId }) => machineId === peer)?.addresses ?? [];
		const signal = AbortSignal.timeout(CONNECT_MS);
		const session = await node.rpc.connect(peer, { addresses, signal }).catch((error: Error) => {
			refusals.push(isMeshError(error) ? error.code : String(error));
			return undefined;
		});
		if (session === undefined) continue;
		const [mesh, workloads] = [session.caller(MachineMeshApi), session.caller(MachineWorkloadsApi)];
		const timeout = { timeout: CALL_MS };
		await ask(() => mesh.epoch({}, timeout));
		await ask(() => mesh.keyring({}, timeout));
		for (const wid of input.wids) {
			await ask(() => workloads.members({ wid }, timeout));
			await ask(() => workloads.rosters({ wid }, timeout));
		}
	}
	for (const wid of input.wids) await ask(() => node.findProviders('workload', wid, AbortSignal.timeout(CALL_MS)));
	await ask(() => node.findProviders('owner', input.owner, AbortSignal.timeout(CALL_MS)));
	return { answers, refusals };
}

/** Where the others say that replicas of a workload are, and what those have left with them, sealed. */
export async function whereabouts(input: { readonly wid: WorkloadId }): Promise<{
	readonly members: readonly MemberHint[];
	readonly rosters: readonly Uint8Array[];
}> {
	const found = taken()
		.node.rpc.sessions()
		.map(async (session) => {
			const caller = session.caller(MachineWorkloadsApi);
			const { members } = await caller.members(input, { timeout: CALL_MS });
			return { members, rosters: (await caller.rosters(input, { timeout: CALL_MS })).sealed };
		});
	const all = await Promise.all(found);
	return { members: all.flatMap(({ members }) => members), rosters: all.flatMap(({ rosters }) => rosters) };
}

/** Tenders that it has heard since it was captured. */
export async function overheard(_: Record<never, never>): Promise<{ readonly tenders: number }> {
	return { tenders: taken().spoils.filter((spoil) => spoil instanceof Uint8Array).length };
}

/** Resolves when none of the others speaks with it any more. */
export async function whenCutOff(_: Record<never, never>): Promise<{ readonly atMs: number }> {
	const { node } = taken();
	while (node.rpc.sessions().length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
	return { atMs: Date.now() };
}
