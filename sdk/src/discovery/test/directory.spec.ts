import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import {
	certify,
	cidOf,
	createKeyPair,
	createNodeKeys,
	createPeerKey,
	createUlid,
	defaultAdmissionTerms,
	genesisFor,
	openRecord,
	ownerIdOf,
	requestAdmission,
	signRecord,
	workloadIdOf,
} from '../../identity/index.ts';
import { createMemoryNetwork } from '../../streams/memory/index.ts';
import { createRpcNode } from '../../streams/rpc/node.ts';
import type { RpcNode } from '../../streams/rpc/session.types.ts';
import type { Charter, MachineId } from '../../wire/index.ts';
import { Directory, type PeerPrincipal } from '../directory.ts';

const HOUR_MS = 3_600_000;
const owner = createKeyPair();
const tenderKey = createKeyPair();
const wid = workloadIdOf(genesisFor(owner.publicKey, 'Deployment', 'default', 'web'));

function charter(): Charter {
	const nowMs = Date.now();
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

describe('directory', () => {
	let network: ReturnType<typeof createMemoryNetwork>;
	let opened: { directory: Directory; node: RpcNode<PeerPrincipal> }[];

	beforeEach(() => {
		network = createMemoryNetwork();
		opened = [];
	});

	afterEach(async () => {
		for (const { directory, node } of opened) {
			directory.close();
			await node[Symbol.asyncDispose]();
		}
	});

	function replica(slot: number, gen: number, displace: 'at-once' | 'when-ready' = 'when-ready'): Directory {
		const keys = createNodeKeys();
		const at = { wid, slot, gen, incarnation: 0, awardId: createUlid(Date.now()), addresses: [], ts: Date.now() };
		const { csr } = requestAdmission(keys, at);
		const { replicaId } = csr;
		const machineId = createPeerKey().peerId as MachineId;
		const cert = certify(charter(), csr, machineId, tenderKey, Date.now());
		const grant = signRecord(
			'tender-grant',
			{
				wid,
				owner: ownerIdOf(owner.publicKey),
				tenderKey: tenderKey.publicKey,
				quota: 8,
				exp: Date.now() + HOUR_MS,
			},
			owner,
		);
		const transport = network.join(replicaId);
		const directory = new Directory({
			cert: openRecord('replica-cert', cert, [tenderKey.publicKey]).body,
			credential: { cert, grant },
			owner: owner.publicKey,
			signer: keys.signer,
			manifestCid: charter().manifestCid,
			version: '1.0.0',
			displace,
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
		return directory;
	}

	it('tells a replica that is displaced by whom, though the two have never met', async () => {
		const [older, newer, both] = [replica(0, 2), replica(0, 3), replica(1, 3)];
		const superseded = new Promise<number>((resolve) => {
			older.listen({ onSuperseded: (_slot, gen) => resolve(gen) });
		});
		for (const directory of [older, newer, both]) directory.publish({ ready: true });
		await older.dial(both.record.replicaId, both.record.addresses);
		await newer.dial(both.record.replicaId, both.record.addresses);
		expect(await superseded).to.equal(3);
	});

	it('a stateful replica that is refused because its slot is another’s knows that it counts no more', async () => {
		const [older, newer, other] = [replica(0, 1, 'at-once'), replica(0, 2, 'at-once'), replica(1, 1, 'at-once')];
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
