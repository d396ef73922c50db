import { randomBytes } from 'node:crypto';
import { createNodeKeys } from '@beemesh/sdk/identity';
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import type { MachineId } from '@beemesh/sdk/wire';
import type { GossipSub } from '@libp2p/gossipsub';
import { multiaddr } from '@multiformats/multiaddr';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { systemClock } from '../clock.ts';
import { sealedGossip, sealGossip } from '../gossip-seal.ts';
import { createGossip, gossipService } from '../libp2p/gossip.ts';
import { BAN_MS, SCORES } from '../libp2p/gossip-scores.ts';
import type { Membership } from '../membership.ts';
import type { Gossip } from '../ports.ts';
import { machineSessionIdentity } from '../session-identity.ts';
import { type Rogue, startRogue, until } from './rogue.ts';
import { createTestRoot } from './root.ts';

const TOPIC = '/beemesh/m/test/presence';
const OTHER = '/beemesh/m/test/tender/root';

interface Honest {
	readonly id: string;
	readonly membership: Membership;
	readonly gossip: Gossip;
	readonly router: GossipSub & {
		getScore(peer: string): number;
		acceptFrom(peer: string): boolean;
		readonly topics: Map<string, Set<string>>;
	};
	readonly addresses: readonly string[];
	readonly heard: string[];
	readonly expelled: MachineId[];
	isConnected(peer: string): boolean;
	dial(addresses: readonly string[]): Promise<void>;
}

describe('gossip among machines that misbehave', function () {
	this.timeout(30_000);
	const open: AsyncDisposable[] = [];
	const root = createTestRoot();

	afterEach(async () => {
		await Promise.all(open.splice(0).map((one) => one[Symbol.asyncDispose]()));
	});

	/** Accepts what begins with "good", has no opinion of "odd", and rejects the rest. */
	async function honest(): Promise<Honest> {
		const membership = root.enrol(createNodeKeys());
		const { node, transport, expel } = await createLibp2pNode({
			session: machineSessionIdentity(membership, systemClock),
			seed: membership.keys.peer.seed,
			listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
			services: { gossip: gossipService([TOPIC, OTHER], Date.now) },
		});
		open.push(transport);
		const heard: string[] = [];
		const expelled: MachineId[] = [];
		const gossip = sealedGossip(
			createGossip(node.services.gossip, (machineId) => {
				expelled.push(machineId);
				expel(machineId, BAN_MS);
			}),
			membership,
		);
		for (const topic of [TOPIC, OTHER]) {
			gossip.subscribe(topic, (data) => {
				const text = new TextDecoder().decode(data.subarray(0, 64));
				heard.push(text);
				return text.startsWith('good') ? 'accept' : text.startsWith('odd') ? 'ignore' : 'reject';
			});
		}
		return {
			id: transport.peerId,
			membership,
			gossip,
			router: node.services.gossip as unknown as Honest['router'],
			addresses: transport.addresses(),
			heard,
			expelled,
			isConnected: (peer) => node.getPeers().some((other) => other.toString() === peer),
			dial: async (addresses) => void (await node.dial(addresses.map((address) => multiaddr(address)))),
		};
	}

	async function rogue(...hosts: Honest[]): Promise<Rogue> {
		const one = await startRogue(root);
		open.push(one);
		for (const { id, addresses } of hosts) await one.reach(id, addresses);
		return one;
	}

	const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

	it('is sealed: nothing on the wire is readable, and what is not sealed is rejected', async () => {
		const [a, b] = [await honest(), await honest()];
		const mallory = await rogue(a);
		await b.dial(a.addresses);
		const wire: Uint8Array[] = [];
		mallory.router.addEventListener('message', ({ detail }) => void wire.push(detail.data));
		mallory.router.subscribe(TOPIC);
		await until(() => a.router.getSubscribers(TOPIC).length === 2);
		await a.gossip.publish(TOPIC, bytes('good canary'));
		await until(() => b.heard.length > 0 && wire.length > 0);
		expect(b.heard).to.deep.equal(['good canary']);
		expect(Buffer.concat(wire).includes('canary')).to.equal(false);
		// What it can send is what it can seal; what it cannot seal reaches nobody.
		mallory.send(a.id, { messages: [{ topic: TOPIC, data: bytes('good but naked') }] });
		await until(() => a.router.getScore(mallory.transport.peerId) < 0);
		// Sealed for another topic is not for this one.
		const before = a.router.getScore(mallory.transport.peerId);
		mallory.send(a.id, {
			messages: [{ topic: TOPIC, data: sealGossip(mallory.membership, OTHER, bytes('good elsewhere')) }],
		});
		await until(() => a.router.getScore(mallory.transport.peerId) < before);
		expect([...a.heard, ...b.heard]).to.deep.equal(['good canary']);
	});

	it('listens no more to one that passes on what anybody can see to be invalid, disconnects it, and keeps it out', async () => {
		const [a, b] = [await honest(), await honest()];
		const mallory = await rogue(a);
		await b.dial(a.addresses);
		await until(() => b.router.getSubscribers(TOPIC).length > 0);
		const { peerId } = mallory.transport;
		for (let i = 0; i < 3; i++) {
			mallory.send(a.id, {
				messages: [{ topic: TOPIC, data: sealGossip(mallory.membership, TOPIC, bytes(`bad ${i}`)) }],
			});
		}
		await until(() => a.router.getScore(peerId) <= SCORES.greylisted && !a.router.acceptFrom(peerId));
		expect(a.heard).to.have.length(3);
		for (let i = 0; i < 20; i++) {
			mallory.send(a.id, {
				messages: [{ topic: TOPIC, data: sealGossip(mallory.membership, TOPIC, bytes(`bad ${i}`)) }],
			});
			mallory.send(a.id, {
				messages: [{ topic: TOPIC, data: sealGossip(mallory.membership, TOPIC, bytes(`good ${i}`)) }],
			});
		}
		// What comes now is not looked at; that there is so much of it expels it.
		for (let i = 0; i < 1_000; i++) mallory.send(a.id, { control: { graft: [{ topicID: TOPIC }] } });
		await until(() => a.expelled.length > 0);
		await until(() => !a.isConnected(peerId) && !mallory.isConnected(a.id));
		expect(a.heard.length).to.equal(3);
		const refused = await mallory.reach(a.id, a.addresses).then(
			() => undefined,
			(error: Error) => error,
		);
		expect(refused).to.not.equal(undefined);
		// Nobody else suffers.
		await b.gossip.publish(TOPIC, bytes('good morning'));
		await until(() => a.heard.includes('good morning'));
		expect(a.router.getScore(b.id)).to.equal(0);
	});

	it('holds nothing against one that passes on what only clocks and knowledge decide', async () => {
		const a = await honest();
		const mallory = await rogue(a);
		for (let i = 0; i < 20; i++) {
			mallory.send(a.id, {
				messages: [{ topic: TOPIC, data: sealGossip(mallory.membership, TOPIC, bytes(`odd ${i}`)) }],
			});
		}
		await until(() => a.heard.length === 20);
		expect(a.router.getScore(mallory.transport.peerId)).to.equal(0);
		expect(a.expelled).to.deep.equal([]);
	});

	it('takes no subscriptions to topics that there are not, nor messages on them', async () => {
		const a = await honest();
		const mallory = await rogue(a);
		const known = new Set(a.router.topics.keys());
		for (let i = 0; i < 10; i++) {
			const subscriptions = Array.from({ length: 30 }, (_, n) => ({ topic: `/flood/${i}/${n}`, subscribe: true }));
			mallory.send(a.id, { subscriptions, messages: [{ topic: `/flood/${i}/0`, data: bytes('good') }] });
		}
		// More than 32 at once are not even decoded.
		const many = Array.from({ length: 40 }, (_, n) => ({ topic: n === 0 ? TOPIC : `/flood/${n}`, subscribe: true }));
		mallory.send(a.id, { subscriptions: many });
		mallory.send(a.id, { subscriptions: [{ topic: OTHER, subscribe: true }] });
		await until(() => a.router.getSubscribers(OTHER).length === 1);
		expect(a.router.getSubscribers(TOPIC)).to.deep.equal([]);
		expect([...a.router.topics.keys()].filter((topic) => !known.has(topic))).to.deep.equal([OTHER]);
		expect(a.heard).to.deep.equal([]);
	});

	it('asks for nothing of more than 256 announced messages, and blames one that never delivers', async () => {
		const a = await honest();
		const mallory = await rogue(a);
		const ids = (count: number): Uint8Array[] => Array.from({ length: count }, () => randomBytes(20));
		const asked: number[] = [];
		const handled = mallory.router as unknown as {
			handleReceivedRpc(from: unknown, rpc: { control?: { iwant?: { messageIDs: Uint8Array[] }[] } }): Promise<void>;
		};
		const handle = handled.handleReceivedRpc;
		handled.handleReceivedRpc = async (from, rpc) => {
			for (const { messageIDs } of rpc.control?.iwant ?? []) asked.push(messageIDs.length);
			await handle.call(mallory.router, from, rpc);
		};
		mallory.send(a.id, { control: { ihave: [{ topicID: TOPIC, messageIDs: ids(257) }] } });
		mallory.send(a.id, { control: { ihave: [{ topicID: TOPIC, messageIDs: ids(100) }] } });
		await until(() => asked.length > 0);
		expect(asked).to.deep.equal([100]);
		for (let i = 0; i < 9; i++) mallory.send(a.id, { control: { ihave: [{ topicID: TOPIC, messageIDs: ids(100) }] } });
		await until(() => a.router.getScore(mallory.transport.peerId) < 0);
	});

	it('expels one that floods: GRAFT and PRUNE, oversize messages', async () => {
		const a = await honest();
		const grafter = await rogue(a);
		for (let i = 0; i < 40; i++) {
			grafter.send(a.id, { control: { prune: [{ topicID: TOPIC, peers: [] }] } });
			grafter.send(a.id, { control: { graft: [{ topicID: TOPIC }] } });
		}
		await until(() => a.expelled.includes(grafter.transport.peerId as MachineId));
		const heavy = await rogue(a);
		// 4 MiB in one message (a rogue’s own library sends no more), more than a stream may hold: its length is refused, and the stream read no further.
		const isRouted = (): boolean => a.router.getPeers().some((peer) => peer.toString() === heavy.transport.peerId);
		expect(isRouted()).to.equal(true);
		heavy.send(a.id, { messages: [{ topic: TOPIC, data: new Uint8Array(4 * 1024 * 1024 - 1024) }] });
		await until(() => !isRouted());
		const steady = await rogue(a);
		const { peerId } = steady.transport;
		const data = sealGossip(steady.membership, TOPIC, new Uint8Array(60 * 1024));
		data[30] = ~(data[30] as number);
		for (let i = 0; i < 400 && !a.expelled.includes(peerId as MachineId); i++) {
			data[31] = i;
			steady.send(a.id, { messages: [{ topic: TOPIC, data: data.slice() }] });
			if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
		}
		await until(() => a.expelled.includes(peerId as MachineId));
		expect(a.heard).to.deep.equal([]);
	});
});
