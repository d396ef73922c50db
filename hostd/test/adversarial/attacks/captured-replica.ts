/**
 * Goes on as a replica whose private folder and award fell into the attacker's hands: it has its keys, its certificate and
 * all that members share, and uses them for what members must not do.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import {
	certifyOwn,
	createGroupKey,
	createNodeKeys,
	createUlid,
	type EpochChain,
	type EpochDraft,
	groupKeyCommit,
	keyIdOf,
	linkOf,
	openBundle,
	openCsr,
	openOwnedCharter,
	openReplicaCert,
	openRoster,
	openSealedAdmission,
	requestAdmission,
	signRecordPart,
} from '@beemesh/sdk/identity';
import { createLibp2pNode, type SessionIdentity } from '@beemesh/sdk/streams/libp2p';
import { encodeRecord, type PeerId, type ReplicaCert, type WorkloadId } from '@beemesh/sdk/wire';
import { Directory, type PeerPrincipal, ReplicaSession, Trust } from '../../../../sdk/src/discovery/index.ts';
import { EPOCHS } from '../../../../sdk/src/discovery/peer-api.ts';
import { createRpcNode } from '../../../../sdk/src/streams/rpc/node.ts';
import { fileIdentity } from '../../../../sdk/src/workplane/identity-file.ts';
import { PodFiles } from '../../../src/workloads/pod-files.ts';
import type { Papers, Target } from './knock.ts';

const CONNECT_MS = 3_000;
const TRIES_MAX = 20;
const RPC = '/beemesh/w/rpc/1';

type Stolen = Awaited<ReturnType<typeof steal>>;
let stolen: Stolen | undefined;
let open: Awaited<ReturnType<typeof openSessions>> | undefined;

function loot(): Stolen {
	if (stolen === undefined) throw new Error('no replica was captured');
	return stolen;
}

/** Reads what a host knows of one of its pods, as root can. */
export async function captureReplica(input: { readonly stateDir: string; readonly podId: string }): Promise<{
	readonly wid: WorkloadId;
	readonly replicaId: string;
	readonly papers: Papers;
	readonly certExpMs: number;
}> {
	stolen = await steal(input.stateDir, input.podId);
	const { wid, keys, session, cert, psk } = stolen;
	const { bytes, cid } = session.certificate();
	const papers: Papers = {
		...{ seed: keys.seed, plane: 'work', domain: session.domain, psk, epoch: session.epoch(), certificate: bytes, cid },
	};
	return { wid, replicaId: keys.peer.peerId, papers, certExpMs: cert.body.exp };
}

/** Opens what members have left with hosts, as any replica of this owner can: then it knows the newest epoch. */
export async function catchUp(input: { readonly rosters: readonly Uint8Array[] }): Promise<{ readonly e: number }> {
	const { wid, psk, trust } = loot();
	for (const sealed of input.rosters) {
		trust.learn(openRoster(psk, wid, sealed));
	}
	return { e: trust.chain(wid)?.head.e ?? 0 };
}

async function steal(stateDir: string, podId: string) {
	const file = await new PodFiles(stateDir).read(podId);
	const folder = join(stateDir, 'private', podId);
	await readFile(join(folder, 'replica'));
	const kept = await fileIdentity(folder).read();
	if (file === undefined || kept?.request === undefined || kept.admission === undefined)
		throw new Error(`nothing to be stolen of ${podId}`);
	const keys = createNodeKeys(kept.seed);
	const { charter, wid } = openBundle(file.bundle, Date.now());
	const owner = charter.signer;
	const { links, psk, groupKey } = openSealedAdmission(kept.admission, keys.kem);
	const trust = new Trust({
		...{ owner, find: async () => [] },
		openCharter: (envelope) => openOwnedCharter(envelope, owner, Date.now()),
	});
	trust.learn({ charter: charter.envelope, links });
	const cert = openReplicaCert(kept.request.cert);
	const session = new ReplicaSession({
		...{ owner, trust, psk: () => psk },
		sign: (message) => keys.signer.sign(message),
	});
	session.admitted(cert);
	return { wid, keys, charter, trust, cert, psk, groupKey, session };
}

/** With everybody believed, so that whether they believe us is all that counts. */
async function openSessions() {
	const { keys, cert, trust, session, charter } = loot();
	const believing: SessionIdentity<ReplicaCert | null> = {
		...{ plane: 'work', domain: session.domain, psks: () => session.psks(), epoch: () => session.epoch() },
		...{ certificate: () => session.certificate(), sign: (message: Uint8Array) => session.sign(message) },
		verify: (_, remote) => ({ principal: null, cid: `${remote}`, verifySignature: () => true }),
		known: () => undefined,
	};
	const { transport } = await createLibp2pNode({
		...{ session: believing, seed: keys.peer.seed },
		listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
	});
	const directory = new Directory({
		...{ cert, trust, signer: keys.signer, manifestCid: cert.body.manifestCid, version: '0.0.0' },
		...({ displace: charter.body.kind === 'StatefulSet' ? 'at-once' : 'when-ready' } as const),
		addresses: () => transport.addresses(),
	});
	const node = createRpcNode<PeerPrincipal>({
		...{ transport, protocol: RPC, exchange: directory.exchange, heartbeats: false },
	});
	directory.start(node);
	return { transport, directory, node };
}

/** Connects as the replica to these others. What each said. */
export async function rejoin(input: { readonly targets: readonly Target[] }): Promise<{
	readonly answers: readonly string[];
	/** The newest epoch that each of those who let it in knows. */
	readonly heads: readonly { readonly e: number; readonly cid: string }[];
}> {
	open ??= await openSessions();
	const answers: string[] = [];
	for (const { peer, addresses } of input.targets)
		answers.push(await outcome(open.directory.dial(peer as PeerId, addresses, AbortSignal.timeout(CONNECT_MS))));
	const heads = open.node.sessions().flatMap(({ principal: { head } }) => (head === undefined ? [] : [head]));
	return { answers, heads: heads.map(({ e, cid }) => ({ e, cid })) };
}

export async function disconnect(_: Record<never, never>): Promise<Record<never, never>> {
	open?.directory.close();
	await open?.node[Symbol.asyncDispose]();
	await open?.transport[Symbol.asyncDispose]();
	open = undefined;
	return {};
}

const CHANGES = {
	'a slot beyond the maximum': (chain) => newcomer(chain, { slot: chain.charter.body.slotsMax, gen: 1 }),
	'a generation too many': (chain) => newcomer(chain, { slot: 0, gen: (chain.head.members[0]?.gen ?? 0) + 2 }),
	'a generation that was used before': (chain) => newcomer(chain, { slot: 0, gen: chain.head.members[0]?.gen ?? 1 }),
	'a newcomer without papers': (chain) => newcomer(chain, { slot: 0, gen: (chain.head.members[0]?.gen ?? 0) + 1 }),
	'an epoch dated back': (chain) => {
		const draft = newcomer(chain, { slot: 0, gen: (chain.head.members[0]?.gen ?? 0) + 1 });
		return { ...draft, body: { ...draft.body, ts: chain.head.body.ts - 60_000 } };
	},
	'an epoch of another era': (chain) => {
		const draft = newcomer(chain, { slot: 0, gen: (chain.head.members[0]?.gen ?? 0) + 1 });
		return { ...draft, body: { ...draft.body, era: draft.body.era + 1 } };
	},
	'an epoch far ahead': (chain) => {
		const draft = newcomer(chain, { slot: 0, gen: (chain.head.members[0]?.gen ?? 0) + 1 });
		return { ...draft, body: { ...draft.body, e: Number.MAX_SAFE_INTEGER } };
	},
} as const satisfies Record<string, (chain: EpochChain) => EpochDraft>;
export type Change = keyof typeof CHANGES;
export const CHANGE_NAMES = Object.keys(CHANGES) as readonly Change[];

/** Asks each of the others to sign a change that must not be, and then tells them that it is, signed by itself alone. */
export async function lead(input: { readonly change: Change; readonly targets: readonly Target[] }): Promise<{
	readonly answers: readonly string[];
	readonly certCid: string;
}> {
	const { keys, trust, wid } = loot();
	const chain = trust.chain(wid);
	if (open === undefined || chain === undefined) throw new Error('not in');
	const draft = CHANGES[input.change](chain);
	const answers: string[] = [];
	const asked = { epoch: draft.body, certs: [...draft.certs] };
	for (const { peer, addresses } of input.targets) {
		let answer = 'unavailable';
		// The others are about to notice that whom we replaced is gone, and end what it had with them.
		for (let tries = 0; answer.startsWith('unavailable') && tries < TRIES_MAX; tries++) {
			const { directory } = open;
			const asking = directory
				.dial(peer as PeerId, addresses, AbortSignal.timeout(CONNECT_MS))
				.then(() => directory.member(peer as PeerId)?.cosign(asked, { timeout: CONNECT_MS }));
			answer = await outcome(asking);
		}
		answers.push(answer);
	}
	const link = linkOf(draft, [signRecordPart('epoch', draft.body, keys.signer)]);
	for (const session of open.node.sessions()) session.notify(EPOCHS, encodeRecord({ wid, links: [link] }));
	// What was notified is handled before this answer.
	for (const session of open.node.sessions()) await session.ping(CONNECT_MS).catch(() => undefined);
	return { answers, certCid: openReplicaCert(draft.certs[0] as Uint8Array).cid };
}

/** A certificate for a slot, of keys that are the attacker's. */
function newcomer(chain: EpochChain, at: { readonly slot: number; readonly gen: number }): EpochDraft {
	const { wid, cert } = loot();
	const keys = createNodeKeys();
	const { machineId, manifestCid } = cert.body;
	const nowMs = Date.now();
	const asked = { ...at, incarnation: 0, awardId: createUlid(nowMs), wid, addresses: [], ts: nowMs };
	const csr = openCsr(requestAdmission(keys, asked).envelope);
	const own = certifyOwn(chain.charter.body, csr, { machineId, manifestCid }, keys.signer, nowMs);
	const { cid, body } = openReplicaCert(own);
	const { head } = chain;
	const entry = { ...at, certCid: cid, sigKeyId: keyIdOf(keys.signer.publicKey) };
	const members = [...head.body.members.filter(({ slot }) => slot !== body.slot), entry].sort(
		(a, b) => a.slot - b.slot,
	);
	return {
		body: {
			...{
				wid,
				era: head.era,
				e: head.e + 1,
				prev: head.cid,
				members: members as never,
				vacant: [...head.body.vacant],
			},
			...{ groupKeyCommit: groupKeyCommit(createGroupKey()), ts: Math.max(nowMs, head.body.ts) },
		},
		certs: [own],
	};
}

async function outcome(promise: Promise<unknown>): Promise<string> {
	return promise.then(
		() => 'done',
		(error: Error) => (isMeshError(error) ? `${error.code}: ${error.message}` : `none: ${error.message}`),
	);
}
