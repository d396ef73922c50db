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

/** Epochs: of the first, and with the second. */
const FIRST_TWO = 2;
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
		knows = Number.POSITIVE_INFINITY,
	): Directory {
		const cert = openReplicaCert(envelope);
		const trust = new Trust({
			owner: owner.publicKey,
			openCharter: (bytes) => openRecord('charter', bytes, [owner.publicKey]),
			find: async () => [{ charter: chartered, links: chain?.linksSince(-1) ?? [] }],
		});
		trust.learn({ charter: chartered, links: (chain?.linksSince(-1) ?? []).slice(0, knows) });
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

	/** As a crash does: nobody is told. */
	async function end(directory: Directory): Promise<void> {
		const { node } = opened.splice(
			opened.findIndex((one) => one.directory === directory),
			1,
		)[0] as (typeof opened)[0];
		network.crash(directory.record.replicaId);
		directory.close();
		await node[Symbol.asyncDispose]();
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

	describe('a replica that was not there when it was displaced', () => {
		const refusal = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
			promise.then(
				() => expect.fail('it was let in'),
				(error: Error) => error,
			);

		/** Slot 0 crashes, slot 1 sees it gone, and admits its successor. */
		async function crashed(displace?: 'at-once') {
			const [first, second] = [admit(0, 1), admit(1, 1)];
			const [older, other] = [start(first, displace), start(second, displace)];
			await older.dial(other.record.replicaId, other.record.addresses);
			const gone = new Promise<void>((resolve) => {
				other.listen({ onMember: (_wid, { type }) => type === 'removed' && resolve() });
			});
			await end(older);
			await gone;
			const newer = start(admit(0, 2, second.keys.signer), displace);
			await newer.dial(other.record.replicaId, other.record.addresses);
			return { other, again: () => start(first, displace, FIRST_TWO) };
		}

		it('gets no session of those who knew that it was gone, though its certificate is of today', async () => {
			const { other, again } = await crashed();
			const back = again();
			const { record } = back;
			const error = await refusal(back.dial(other.record.replicaId, other.record.addresses));
			expect(error).to.include({ code: 'unauthorized' });
			expect(error.message).to.contain('slot 0 generation 1 is no member of web in epoch');
			expect(other.node.get(record.replicaId)).to.equal(undefined);
			expect(other.own.live().map(({ record: { slot, gen } }) => `${slot}/${gen}`)).to.deep.equal(['0/2', '1/1']);
		});

		it('learns from the epochs, which its host carries, that it is displaced, and by whom', async () => {
			const { other, again } = await crashed();
			const back = again();
			const by = new Promise<number>((resolve) => {
				back.listen({ onSuperseded: (_slot, gen) => resolve(gen) });
			});
			await refusal(back.dial(other.record.replicaId, other.record.addresses));
			expect(await by).to.equal(2);
		});

		it('hears, if it is stateful and its vote is not needed, by whom, and nothing else; then it is hung up on', async () => {
			const { other, again } = await crashed('at-once');
			const back = again();
			const { replicaId } = back.record;
			const dismissed = new Promise<string>((resolve) => {
				other.onDismissed = resolve;
			});
			const error = await refusal(back.dial(other.record.replicaId, other.record.addresses));
			expect(error).to.deep.include({ code: 'conflict', details: { slot: 0, gen: 2 } });
			expect(await dismissed).to.equal(replicaId);
			expect(other.node.get(replicaId)).to.equal(undefined);
			expect(back.outvoted.aborted).to.equal(true);
		});
	});

	it('one that hands over is served on, but asks nobody to leave and shares nothing', async () => {
		const [first, second] = [admit(0, 1), admit(1, 1)];
		const [older, other] = [start(first), start(second)];
		await older.dial(other.record.replicaId, other.record.addresses);
		const newer = start(admit(0, 2, second.keys.signer));
		await newer.dial(other.record.replicaId, other.record.addresses);
		let asked = 0;
		other.onDrain = () => void asked++;
		other.onCharter = () => void asked++;
		const caller = older.member(other.record.replicaId);
		const generations: [number, number][] = [[1, 9]];
		for (const call of [
			caller?.drain({ reason: 'mine' }),
			caller?.share({ charter: chartered, generations }),
			caller?.groupKey({}),
		]) {
			const error = await Promise.resolve(call).then(
				() => expect.fail('it was served'),
				(thrown: Error) => thrown,
			);
			expect(error).to.include({ code: 'unauthorized' });
			expect(error.message).to.contain('displaced');
		}
		expect(asked).to.equal(0);
		expect(other.own.generations().get(1)).to.equal(1);
		expect((await caller?.probe({ peer: newer.record.replicaId }))?.alive).to.equal(true);
	});
});
