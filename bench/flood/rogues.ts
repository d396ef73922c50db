/**
 * Five rogue peers in one process. Strangers have a certificate of another mesh and hammer handshakes; members have a valid
 * one and flood whatever it opens to them. Each flood is of new ones, for those of the last are known and kept out.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { createNodeKeys } from '@beemesh/sdk/identity';
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import { sealGossip } from '../../hostd/src/mesh/gossip-seal.ts';
import { introductionOf } from '../../hostd/src/mesh/hello.ts';
import { systemClock } from '../../hostd/src/mesh/index.ts';
import { topicsOf } from '../../hostd/src/mesh/node.ts';
import { machineSessionIdentity } from '../../hostd/src/mesh/session-identity.ts';
import { type Rogue, startRogue } from '../../hostd/src/mesh/test/rogue.ts';
import { createTestRoot } from '../../hostd/src/mesh/test/root.ts';
import { createWorkload } from '../../hostd/src/scheduler/test/workload.ts';
import { answer, type Target, type ToRogues } from './child.ts';

const ROGUES = 5;
const RPC_PROTOCOL = '/beemesh/m/rpc/1';

type Workload = ReturnType<typeof createWorkload>;

interface Attack extends AsyncDisposable {
	run(targets: readonly Target[], signal: AbortSignal): Promise<unknown>;
}

let prepared: readonly Attack[] = [];
let targets: readonly Target[] = [];
let stops = new AbortController();
let running: Promise<unknown> = Promise.resolve();
let counts: Record<string, number> = {};

answer<ToRogues>(async (message) => {
	switch (message.type) {
		case 'prepare':
			targets = message.targets;
			prepared = await Promise.all(Array.from({ length: ROGUES }, message.kind === 'strangers' ? stranger : member));
			return;
		case 'flood':
			stops = new AbortController();
			counts = {};
			running = Promise.all(prepared.map((attack) => attack.run(targets, stops.signal)));
			return;
		case 'stop':
			stops.abort();
			await running;
			await Promise.all(prepared.map((attack) => attack[Symbol.asyncDispose]()));
			return counts;
	}
});

function count(what: string): void {
	counts[what] = (counts[what] ?? 0) + 1;
}

/** It can only begin handshakes, as many as it likes. */
async function stranger(): Promise<Attack> {
	const membership = createTestRoot(`mesh-${randomBytes(4).toString('hex')}`).enrol(createNodeKeys());
	const { transport } = await createLibp2pNode({
		session: machineSessionIdentity(membership, systemClock),
		seed: membership.keys.peer.seed,
		listen: [],
	});
	const hammer = async ({ peer, addresses }: Target, signal: AbortSignal): Promise<void> => {
		while (!signal.aborted) {
			await transport.dial(peer, RPC_PROTOCOL, { addresses, signal }).then(
				() => count('strangersLetIn'),
				() => count('handshakesRefused'),
			);
			await turn();
		}
	};
	return {
		run: (at, signal) => Promise.all(at.flatMap((target) => [hammer(target, signal), hammer(target, signal)])),
		[Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
	};
}

/** Does everything that a member can. */
async function member(): Promise<Attack> {
	const rogue = await startRogue();
	const topics = topicsOf(rogue.membership.meshId, ['root']);
	const workloads = Array.from({ length: 20 }, (_, i) => createWorkload(`rogue-${i}`));
	return {
		run: (at, signal) => Promise.all(at.map((target) => attack(target, signal))),
		[Symbol.asyncDispose]: () => rogue[Symbol.asyncDispose](),
	};

	async function attack({ peer, addresses }: Target, signal: AbortSignal): Promise<void> {
		for (let i = 0; !signal.aborted; i++) {
			if (!rogue.router.streamsOutbound.has(peer)) {
				// Expelled, or not in yet.
				const limit = AbortSignal.any([signal, AbortSignal.timeout(2_000)]);
				const reached = rogue.reach(peer, addresses).then(() => count('membersLetIn'));
				await Promise.race([reached, once(limit, 'abort')]).catch(() => count('membersRefused'));
				await sleep(20);
				continue;
			}
			count(flooding(rogue, peer, topics, workloads, i));
			if (i % 50 === 0) {
				const hello = rogue.transport.dial(peer, RPC_PROTOCOL, { addresses, signal });
				await hello.then((stream) => stream.write(new Uint8Array(randomBytes(1_000)))).catch(() => undefined);
				count('rpcHellos');
			}
			if (i % 10 === 0) await turn();
		}
	}
}

function flooding(
	{ send, membership }: Rogue,
	peer: string,
	topics: readonly string[],
	workloads: readonly Workload[],
	i: number,
): string {
	const topic = topics[i % topics.length] as string;
	switch (i % 6) {
		case 0:
			send(peer, { messages: [{ topic, data: new Uint8Array(randomBytes(1_000)) }] });
			return 'junkMessages';
		case 1:
			send(peer, { control: { prune: [{ topicID: topic, peers: [] }], graft: [{ topicID: topic }] } });
			return 'graftsAndPrunes';
		case 2: {
			const messageIDs = Array.from({ length: 200 }, () => new Uint8Array(randomBytes(20)));
			send(peer, { control: { ihave: [{ topicID: topic, messageIDs }], iwant: [{ messageIDs }] } });
			return 'announcements';
		}
		case 3: {
			send(peer, { messages: [{ topic, data: new Uint8Array(i % 60 === 3 ? 3 * 1024 * 1024 : 100_000) }] });
			return 'oversizeMessages';
		}
		case 4: {
			const workload = workloads[i % workloads.length] as Workload;
			const tender = workload.sign(workload.tender(membership.machineId, [{ slot: 0, gen: 1 }]));
			send(peer, {
				messages: [{ topic: topics[1] as string, data: sealGossip(membership, topics[1] as string, tender) }],
			});
			return 'tenders';
		}
		default: {
			const forged = introductionOf(new Uint8Array(randomBytes(3_000)), membership.credential);
			send(peer, {
				messages: [{ topic: topics[0] as string, data: sealGossip(membership, topics[0] as string, forged) }],
			});
			return 'forgedPresences';
		}
	}
}
