/**
 * What a host that places for others handles: everything that it sends and hears, what its client tells it and is told, and
 * its log. Of the workload that it places it learns what a tender says, and no more.
 */
import { openReasons, type PlaceEvent, sealRefusal } from '@beemesh/sdk/api';
import {
	createKemKey,
	createKeyPair,
	openAdmission,
	openMachineCredential,
	openPapers,
	openReplicaCert,
	sealBundle,
	sealTo,
} from '@beemesh/sdk/identity';
import type { ByteStream, Transport } from '@beemesh/sdk/streams';
import { createLogger } from '@beemesh/sdk/telemetry';
import { encodeRecord } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createTestRoot } from '../../mesh/test/root.ts';
import { startCluster } from './cluster.ts';
import { createWorkload } from './workload.ts';

const CANARIES = {
	name: 'canary-name',
	namespace: 'canary-namespace',
	label: 'canary-label',
	token: 'canary-token',
	reason: 'canary-reason',
};

describe('a host that places for others', () => {
	const { mesh } = createTestRoot();
	const never = new AbortController().signal;

	/** Everything that the first of three hosts handles while one slot is placed on another. */
	async function handled(options: { readonly refuse?: boolean; readonly fail?: boolean } = {}) {
		const seen: Recorded = new Map();
		const cluster = await startCluster(3, {
			tap: (transport, host) => (host === 0 ? recorded(transport, seen) : transport),
			logger: (host) =>
				createLogger({
					level: 'debug',
					format: 'text',
					nowMs: Date.now,
					sink: (line) => host === 0 && note(seen, 'log', Buffer.from(line)),
				}),
			...(options.fail === true
				? {
						deploy: async () => {
							throw new Error(`hostPath ${CANARIES.reason} is not allowed`);
						},
					}
				: {}),
		});
		await using _ = cluster;
		const [{ scheduler, machineId }] = cluster.hosts as [(typeof cluster.hosts)[0] & object];
		const { name, namespace, label, token } = CANARIES;
		const env = [{ name: 'TOKEN', value: token }];
		const workload = createWorkload(name, 8, createKeyPair(), env, { namespace, label });
		const replies = createKemKey();
		const requested = workload.tender(machineId, [{ slot: 0, gen: 1 }]);
		const tender = workload.sign({ ...requested, avoid: { hard: [machineId], soft: [] } });
		const read: PlaceEvent[] = [];
		const told = <T extends object>(what: T): T => {
			note(seen, 'client', encodeRecord(what));
			return what;
		};
		const names: string[] = [];
		for await (const event of scheduler.place(told({ tender, keepTrying: false }), never)) {
			read.push(openReasons(told(event), replies));
			if (event.type === 'awarded') {
				const winner = openMachineCredential(event.credential, mesh, Date.now());
				const sealed = sealBundle(workload.bundle, event.awardId, winner, replies);
				scheduler.deliver(told({ awardId: event.awardId, sealed }));
			}
			if (event.type !== 'csr') continue;
			const { awardId } = event;
			const machine = openMachineCredential(event.credential, mesh, Date.now());
			const papers = openPapers(event.papers, awardId, replies);
			const { csr } = openAdmission(papers.csr, event.statement, machine);
			names.push(openReplicaCert(papers.cert).body.name);
			const sealed = sealTo(csr.body.kemKey, 'admission', Buffer.from(name));
			const answer =
				options.refuse === true
					? { admitted: false as const, reason: `no member of ${CANARIES.reason}` }
					: { admitted: true as const, sealed, members: [], foundingSlots: 0 };
			await scheduler.admit(told({ awardId, csrCid: csr.cid, answer: sealRefusal(answer, machine) }));
		}
		const bytes = Buffer.concat([...seen].flatMap(([key, chunks]) => [Buffer.from(key), ...chunks]));
		return { bytes, outcome: read.find(({ type }) => type === 'outcome'), names, wid: workload.wid };
	}

	for (const [what, options, outcome] of [
		['a replica that is admitted', {}, { outcome: 'deployed' }],
		['one that is refused', { refuse: true }, { outcome: 'failed' }],
		['one that does not start', { fail: true }, { outcome: 'failed' }],
	] as const)
		it(`cannot read what it places, for ${what}`, async () => {
			const { bytes, names, wid, outcome: ended } = await handled(options);
			expect(ended).to.include(outcome);
			const { reason = '' } = ended as { readonly reason?: string };
			if (outcome.outcome === 'failed') expect(reason).to.contain(CANARIES.reason);
			expect(names).to.deep.equal('fail' in options ? [] : [CANARIES.name]);
			// That it was all recorded: the tender and the award name the workload's ID.
			expect(bytes.toString('latin1').split(wid).length).to.be.greaterThan(3);
			for (const canary of Object.values(CANARIES)) expect(bytes.includes(canary), canary).to.equal(false);
		});
});

/** By stream and direction, so that what is written in pieces is found in one. */
type Recorded = Map<string, Uint8Array[]>;

function note(seen: Recorded, key: string, chunk: Uint8Array): void {
	const chunks = seen.get(key) ?? [];
	seen.set(key, chunks);
	chunks.push(chunk.slice());
}

function recorded(transport: Transport, seen: Recorded): Transport {
	let count = 0;
	const wrap = (stream: ByteStream): ByteStream => {
		const key = `stream-${count++}`;
		return {
			write(chunk) {
				note(seen, `${key} out`, chunk);
				return stream.write(chunk);
			},
			source: heard(stream.source, (chunk) => note(seen, `${key} in`, chunk)),
			drained: () => stream.drained(),
			close: () => stream.close(),
			abort: (error) => stream.abort(error),
			onClose: (listener) => stream.onClose(listener),
		};
	};
	return {
		kind: transport.kind,
		peerId: transport.peerId,
		addresses: () => transport.addresses(),
		dial: async (peer, protocol, options) => wrap(await transport.dial(peer, protocol, options)),
		handle: (protocol, on) => transport.handle(protocol, (stream, remote) => on(wrap(stream), remote)),
		isConnected: (peer) => transport.isConnected(peer),
		disconnect: (peer) => transport.disconnect(peer),
		onPeer: (listener) => transport.onPeer(listener),
		[Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
	};
}

async function* heard(source: AsyncIterable<Uint8Array>, on: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
	for await (const chunk of source) {
		on(chunk);
		yield chunk;
	}
}
