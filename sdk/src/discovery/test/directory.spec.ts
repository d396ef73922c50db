import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import {
	certifyOwn,
	cidOf,
	createGroupKey,
	createKeyPair,
	createNodeKeys,
	createPeerKey,
	createUlid,
	defaultAdmissionTerms,
	EpochChain,
	foundingEpoch,
	genesisFor,
	groupKeyCommit,
	linkOf,
	type NodeKeys,
	openCsr,
	openRecord,
	openReplicaCert,
	ownerIdOf,
	requestAdmission,
	type Signer,
	signRecord,
	signRecordPart,
	workloadIdOf,
} from '../../identity/index.ts';
import { createMemoryNetwork } from '../../streams/memory/index.ts';
import { createRpcNode } from '../../streams/rpc/node.ts';
import type { RpcNode } from '../../streams/rpc/session.types.ts';
import type { Charter, MachineId } from '../../wire/index.ts';
import { Directory, type PeerPrincipal } from '../directory.ts';
import { Trust } from '../trust.ts';

const HOUR_MS = 3_600_000;
const owner = createKeyPair();
const wid = workloadIdOf(genesisFor(owner.publicKey, 'Deployment', 'default', 'web'));

const BEGAN_MS = Date.now();

function charter(): Charter {
	const nowMs = BEGAN_MS;
	return {
		wid,
		owner: ownerIdOf(owner.publicKey),
		era: 1,
		kind: 'Deployment',
		namespace: 'default',
		name: 'web',
		manifestCid: cidOf(new Uint8Array(1)),
		replicas: 2,
		...defaultAdmissionTerms(2),
		deleted: false,
		nbf: nowMs,
		exp: nowMs + HOUR_MS,
	};
}

const chartered = signRecord('charter', charter(), owner);

describe('directory', () => {
	let network: ReturnType<typeof createMemoryNetwork>;
	let chain: EpochChain | undefined;
	let trusts: Map<Directory, Trust>;
	let opened: { directory: Directory; node: RpcNode<PeerPrincipal> }[];

	beforeEach(() => {
		network = createMemoryNetwork();
		opened = [];
		trusts = new Map();
		chain = undefined;
	});

	afterEach(async () => {
		for (const { directory, node } of opened) {
			directory.close();
			await node[Symbol.asyncDispose]();
		}
	});

	/** The next epoch admits a replica: signed by the owner, or by a member. */
	function admit(
		slot: number,
		gen: number,
		by: Signer = owner,
	): { readonly keys: NodeKeys; readonly cert: Uint8Array } {
		const keys = createNodeKeys();
		const at = { wid, slot, gen, incarnation: 0, awardId: createUlid(Date.now()), addresses: [], ts: Date.now() };
		const csr = openCsr(requestAdmission(keys, at).envelope);
		const about = { machineId: createPeerKey().peerId as MachineId, manifestCid: charter().manifestCid };
		const cert = certifyOwn(charter(), csr, about, keys.signer, Date.now());
		const groupKey = groupKeyCommit(createGroupKey());
		const options = { tsMs: Date.now(), groupKeyCommit: groupKey };
		const draft =
			chain === undefined
				? foundingEpoch(charter(), [cert], { ...options, vacant: [] })
				: chain.draft([{ type: 'admit', cert }], options);
		const link = linkOf(draft, [signRecordPart('epoch', draft.body, by)]);
		if (chain === undefined) chain = EpochChain.found(openRecord('charter', chartered), link, Date.now());
		else chain.offer([link], Date.now());
		return { keys, cert };
	}

	/** A replica that knows of the members what is known now. */
	function start(
		{ keys, cert: envelope }: ReturnType<typeof admit>,
		displace: 'at-once' | 'when-ready' = 'when-ready',
	): Directory {
		const cert = openReplicaCert(envelope);
		const trust = new Trust({
			owner: owner.publicKey,
			openCharter: (bytes) => openRecord('charter', bytes, [owner.publicKey]),
			find: async () => [],
		});
		trust.learn({ charter: chartered, links: chain?.linksSince(-1) ?? [] });
		const transport = network.join(cert.body.replicaId);
		const directory = new Directory({
			...{ cert, trust, displace },
			signer: keys.signer,
			manifestCid: charter().manifestCid,
			version: '1.0.0',
			addresses: () => transport.addresses(),
		});
		const node = createRpcNode<PeerPrincipal>({
			transport,
			protocol: '/test/rpc/1.0.0',
			exchange: directory.exchange,
			heartbeats: false,
		});
		directory.start(node);
		opened.push({ directory, node });
		trusts.set(directory, trust);
		return directory;
	}

	it('tells a replica that is displaced by whom, though the two have never met', async () => {
		const [first, second] = [admit(0, 1), admit(1, 1)];
		const [older, both] = [start(first), start(second)];
		const newer = start(admit(0, 2, second.keys.signer));
		const superseded = new Promise<number>((resolve) => {
			older.listen({ onSuperseded: (_slot, gen) => resolve(gen) });
		});
		for (const directory of [older, newer, both]) directory.publish({ ready: true });
		await older.dial(both.record.replicaId, both.record.addresses);
		await newer.dial(both.record.replicaId, both.record.addresses);
		expect(await superseded).to.equal(2);
	});

	it('a stateful replica knows from an epoch alone that its slot is another’s', () => {
		const [first, second] = [admit(0, 1), admit(1, 1)];
		const older = start(first, 'at-once');
		const superseded: number[] = [];
		older.listen({ onSuperseded: (_slot, gen) => superseded.push(gen) });
		admit(0, 2, second.keys.signer);
		trusts.get(older)?.offer(wid, chain?.linksSince(-1) ?? []);
		expect(superseded).to.deep.equal([2]);
	});

	it('a stateful replica that is refused because its slot is another’s knows that it counts no more', async () => {
		const [first, second] = [admit(0, 1), admit(1, 1)];
		const [older, other] = [start(first, 'at-once'), start(second, 'at-once')];
		const newer = start(admit(0, 2), 'at-once');
		await newer.dial(other.record.replicaId, other.record.addresses);
		expect(older.outvoted.aborted).to.equal(false);
		const refused = await older.dial(other.record.replicaId, other.record.addresses).then(
			() => undefined,
			(error: unknown) => error as Error,
		);
		expect(refused?.message).to.contain('slot 0 has been given to generation 2');
		expect(older.outvoted.aborted).to.equal(true);
	});
});
