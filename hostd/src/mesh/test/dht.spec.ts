import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
	createKeyPair,
	createNodeKeys,
	createPeerKey,
	createUlid,
	genesisFor,
	signRecord,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import type { MachineId } from '@beemesh/sdk/wire';
import { type KadDHT, kadDHT, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { systemClock } from '../clock.ts';
import { meshHash } from '../hello.ts';
import { leaseKey } from '../lease.ts';
import { createDht, dhtService } from '../libp2p/dht.ts';
import { machineSessionIdentity } from '../session-identity.ts';
import { until } from './rogue.ts';
import { createTestRoot } from './root.ts';

const wid = workloadIdOf(genesisFor(createKeyPair().publicKey, 'Deployment', 'default', 'web'));

/** Of kad-dht's class what its interface does not say. */
interface Routing {
	readonly peerRouting: { getClosestPeersOffline(): Promise<unknown[]> };
}

describe('machine DHT among machines that misbehave', function () {
	this.timeout(30_000);
	const open: AsyncDisposable[] = [];
	const root = createTestRoot();

	afterEach(async () => {
		await Promise.all(open.splice(0).map((one) => one[Symbol.asyncDispose]()));
	});

	async function machine(kad: 'ours' | 'stock') {
		const membership = root.enrol(createNodeKeys());
		const stock = kadDHT({
			protocol: `/beemesh/m/${meshHash(membership.meshId)}/kad/1.0.0`,
			clientMode: false,
			peerInfoMapper: passthroughMapper,
			validators: { lease: () => undefined, junk: () => undefined },
			selectors: { lease: () => 0, junk: () => 0 },
		});
		const { node, transport } = await createLibp2pNode<{ dht: KadDHT }, unknown>({
			session: machineSessionIdentity(membership, systemClock),
			seed: membership.keys.peer.seed,
			listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
			mayDial: (peer) => membership.trust.machine(peer as MachineId, Date.now()) !== undefined,
			services: { dht: (kad === 'ours' ? dhtService(membership, Date.now) : stock) as never },
		});
		open.push(transport);
		const dht = node.services.dht as SingleKadDHT;
		return { membership, node, transport, dht, peerId: transport.peerId as MachineId };
	}
	type Machine = Awaited<ReturnType<typeof machine>>;

	async function meet(a: Machine, b: Machine): Promise<void> {
		a.membership.trust.learn(b.membership.credential, Date.now());
		await a.node.dial(b.transport.addresses().map((address) => multiaddr(address)));
		await until(() => a.dht.routingTable.size > 0 && b.dht.routingTable.size > 0);
	}

	it('knows none of 50 Sybils near a key: nobody is in its table, or dialed, who showed no certificate', async () => {
		const [honest, rogue] = [await machine('ours'), await machine('stock')];
		await meet(honest, rogue);
		const victim = createSocket('udp4');
		let packets = 0;
		victim.on('message', () => packets++);
		victim.bind(0, '127.0.0.1');
		await once(victim, 'listening');
		const address = multiaddr(`/ip4/127.0.0.1/udp/${victim.address().port}/quic-v1`);
		const sybils = Array.from({ length: 50 }, () => ({
			id: peerIdFromString(createPeerKey().peerId),
			multiaddrs: [address],
			protocols: [],
		}));
		let asked = 0;
		(rogue.dht as unknown as Routing).peerRouting.getClosestPeersOffline = async () => {
			asked++;
			return sybils;
		};
		const dht = createDht(honest.dht, honest.peerId);
		await dht.findProviders(new Uint8Array(32).fill(1));
		await dht.get(leaseKey({ wid, slot: 0, gen: 1 }));
		await dht.put(leaseKey({ wid, slot: 0, gen: 1 }), lease(honest, 0, Date.now()));
		expect(asked).to.be.greaterThan(0);
		expect(honest.dht.routingTable.size).to.equal(1);
		expect(packets).to.equal(0);
		victim.close();
	});

	it('keeps leases of machines of the mesh under their own keys, and nothing else', async () => {
		const [honest, rogue] = [await machine('ours'), await machine('stock')];
		await meet(honest, rogue);
		const key = leaseKey({ wid, slot: 3, gen: 1 });
		const put = async (at: string, value: Uint8Array): Promise<boolean> => {
			let isTaken = false;
			const signal = AbortSignal.timeout(5_000);
			for await (const event of rogue.dht.put(new TextEncoder().encode(at), value, { signal })) {
				if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') isTaken = true;
			}
			return isTaken;
		};
		const now = Date.now();
		const first = lease(rogue, 3, now);
		expect(await put(key, first), 'its own lease').to.equal(true);
		expect(await put(key, lease(rogue, 3, now - 1_000)), 'an older one').to.equal(false);
		expect(await put(leaseKey({ wid, slot: 4, gen: 1 }), lease(rogue, 3, now)), 'under another key').to.equal(false);
		expect(await put(key, lease(rogue, 3, now + 90_000)), 'of tomorrow').to.equal(false);
		expect(await put('/junk/1', new Uint8Array(100)), 'another namespace').to.equal(false);
		expect(await put(key, new Uint8Array(100_000)), 'large').to.equal(false);
		const stranger = createKeyPair();
		expect(await put(key, lease(rogue, 3, now + 1, stranger)), 'a forgery').to.equal(false);
		const found = await createDht(honest.dht, honest.peerId).get(key);
		expect(found).to.deep.equal(first);
	});

	function lease(
		{ membership, peerId }: Machine,
		slot: number,
		ts: number,
		signer = membership.keys.signer,
	): Uint8Array {
		const awardId = createUlid(1, new Uint8Array(10));
		return signRecord('lease', { wid, slot, gen: 1, awardId, renewNonce: 1, machineId: peerId, ts }, signer);
	}
});
