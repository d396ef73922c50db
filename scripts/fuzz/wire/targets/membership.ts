/** What machines and replicas tell each other of themselves and of who is in: introductions, advertisements, epochs, rosters. */
import * as v from 'valibot';
import { createEpochIntake } from '../../../../hostd/src/mesh/epochs.ts';
import { createHello, introductionOf, openIntroduction, peekIntroduction } from '../../../../hostd/src/mesh/hello.ts';
import { newestLease } from '../../../../hostd/src/mesh/lease.ts';
import { Membership } from '../../../../hostd/src/mesh/membership.ts';
import { createTenderGate } from '../../../../hostd/src/scheduler/gate.ts';
import { createAdvertisementReader, encodeAdvertisement } from '../../../../sdk/src/discovery/advertisement.ts';
import { epochNewsSchema, PeerApi } from '../../../../sdk/src/discovery/peer-api.ts';
import { ReplicaSession } from '../../../../sdk/src/discovery/session-identity.ts';
import { Trust } from '../../../../sdk/src/discovery/trust.ts';
import { openAt, sealRecord } from '../../../../sdk/src/discovery/workload-dht.ts';
import { isMeshError } from '../../../../sdk/src/errors.ts';
import { EpochChain, MachineTrust, openOwnedCharter, peekRecord } from '../../../../sdk/src/identity/index.ts';
import { DhtStore } from '../../../../sdk/src/streams/libp2p/dht-store.ts';
import { decodeBody, encodeBody } from '../../../../sdk/src/streams/rpc/msgpack.ts';
import { concat } from '../../../../sdk/src/wire/bytes.ts';
import { decodeRecord, type EpochLink, encodeRecord } from '../../../../sdk/src/wire/index.ts';
import { type Corpus, NOW_MS, partsOf } from '../corpus.ts';
import { type Accepted, codes, MADE_OF_NOTHING, recordCodes, type Target } from '../target.ts';

export function membershipTargets(corpus: Corpus): Target[] {
	return [...introductions(corpus), ...gates(corpus), ...epochs(corpus), ...advertisements(corpus)];
}

function introductions({ mesh, epoch, credential, renewed, records, machineId }: Corpus): Target[] {
	const samples = [introductionOf(records.presence, credential), introductionOf(records.presence, renewed)];
	const known = introductionOf(records.presence);
	const fresh = (): MachineTrust => new MachineTrust(mesh, epoch);
	const trusting = fresh();
	trusting.learn(credential, NOW_MS);
	const open = (bytes: Uint8Array, trust: MachineTrust): Accepted => {
		const claim = peekIntroduction(bytes);
		openIntroduction(claim, trust, NOW_MS);
		const brought = claim.credential === undefined ? [] : partsOf(claim.credential);
		return { proved: [claim.presence.envelope, ...brought] };
	};
	const hello = createHello({ trust: trusting, introduction: () => known, nowMs: () => NOW_MS });
	return [
		{
			...{ name: 'introduction', weight: 30, form: 'cbor', samples, refuses: recordCodes },
			accept: (bytes) => open(bytes, trusting),
		},
		{
			...{ name: 'machine hello', weight: 20, form: 'cbor', refuses: recordCodes },
			samples: [known, ...samples].map((introduction) => encodeRecord({ introduction, epoch: 1 })),
			async accept(bytes) {
				const { introduction } = await hello.admit(machineId, bytes);
				return open(introduction, trusting);
			},
		},
	];
}

/** Admission of what is relayed. The gates count what passes, and here all is from nobody, whose account is not kept. */
function gates(corpus: Corpus): Target[] {
	const { machine, mesh, epoch, credential, keyring, records } = corpus;
	const bundle = { genesis: mesh.envelope, epoch, credential, keyrings: [keyring], join: [] };
	const refuses = codes('invalid_input', 'unauthorized', 'conflict', 'not_found', 'exhausted');
	return [
		{
			...{ name: 'tender gate', weight: 30, form: 'cbor', samples: [records.tender], refuses },
			accept(bytes) {
				const admitted = createTenderGate({ startedAtMs: 0 }).admit(bytes, undefined, NOW_MS);
				if ('error' in admitted) throw admitted.error;
				return { proved: [bytes] };
			},
		},
		{
			...{ name: 'epoch gate', weight: 10, form: 'cbor', samples: [records['mesh-epoch']], refuses },
			accept(bytes) {
				const membership = new Membership(machine, bundle, NOW_MS);
				const admitted = createEpochIntake(membership).admit(bytes, undefined, NOW_MS);
				if ('error' in admitted) throw admitted.error;
				return { proved: [membership.trust.epoch.envelope] };
			},
		},
		{
			...{ name: 'leases compared', weight: 8, form: 'cbor', samples: [records.lease], refuses },
			accept(bytes) {
				newestLease([records.lease, bytes]);
				return MADE_OF_NOTHING;
			},
		},
	];
}

function epochs({ epochs: { workload, founding, next, chain }, owner }: Corpus): Target[] {
	const { charter } = workload;
	const { wid } = charter.body;
	const news = encodeRecord({ wid, links: [next] });
	const anew = encodeRecord({ wid, links: [founding, next] });
	/** As it is pushed on its channel. */
	const linksIn = (bytes: Uint8Array): readonly EpochLink[] => {
		const parsed = v.safeParse(epochNewsSchema, decodeRecord(bytes, 4 * 2 ** 20));
		if (!parsed.success) throw REFUSED;
		return parsed.output.links;
	};
	const believed = (grown: EpochChain): Accepted => ({
		proved: [
			...grown.linksSince(-1).map(({ epoch }) => epoch),
			...grown.head.members.map((member) => certOf(grown, member.certCid)),
		],
	});
	return [
		{
			...{ name: 'epoch links, from the beginning', weight: 30, form: 'cbor', samples: [anew], refuses },
			accept: (bytes) => believed(EpochChain.from(charter, linksIn(bytes), NOW_MS)),
		},
		{
			...{ name: 'epoch links, offered', weight: 30, form: 'cbor', samples: [news, anew], refuses },
			accept(bytes) {
				const offered = linksIn(bytes);
				const grown = EpochChain.from(charter, chain.linksSince(-1), NOW_MS);
				grown.offer(offered, NOW_MS);
				return believed(grown);
			},
		},
		{
			// What a member is asked to sign: an epoch as it comes in a call.
			...{ name: 'epoch to cosign', weight: 20, form: 'msgpack', refuses: epochCodes },
			samples: [encodeBody({ epoch: peekRecord('epoch', next.epoch).body, certs: next.certs })],
			accept(bytes) {
				const asked = decodeBody(bytes);
				const parsed = v.safeParse(cosignInput, asked);
				if (!parsed.success) throw REFUSED;
				chain.mayCosign(parsed.output.epoch, parsed.output.certs, NOW_MS);
				return MADE_OF_NOTHING;
			},
		},
		{
			name: 'roster',
			weight: 20,
			form: 'cbor',
			samples: [encodeRecord({ charter: charter.envelope, links: [founding, next] })],
			refuses,
			accept(bytes) {
				const roster = decodeRecord(bytes, 4 * 2 ** 20) as { charter: Uint8Array; links: EpochLink[] };
				if (!(roster?.charter instanceof Uint8Array) || !v.is(epochNewsSchema.entries.links, roster.links))
					throw REFUSED;
				const trust = trustIn(owner);
				trust.learn(roster);
				const learnt = trust.chain(wid);
				return learnt === undefined ? MADE_OF_NOTHING : believed(learnt);
			},
		},
	];
}

function trustIn({ publicKey }: Corpus['owner']): Trust {
	return new Trust({
		owner: publicKey,
		find: async () => [],
		openCharter: (envelope) => openOwnedCharter(envelope, publicKey, NOW_MS),
		nowMs: () => NOW_MS,
	});
}

/** What receivers do with a shape that is none: drop it. */
const REFUSED = new Error('not of this shape');
const refuses = (error: unknown): boolean => error === REFUSED || recordCodes(error);
const epochCodes = (error: unknown): boolean => refuses(error) || isMeshError(error, 'conflict');
const cosignInput = PeerApi.methods.cosign.input;

function certOf(chain: EpochChain, cid: string): Uint8Array {
	const found = chain.memberByCid(cid as never);
	if (found === undefined) throw new Error(`${cid} is no member`);
	return found.envelope;
}

function advertisements({ owner, epochs: { cert, service, chain, workload, founding } }: Corpus): Target[] {
	const { wid } = workload.charter.body;
	const trust = trustIn(owner);
	trust.learn({ charter: workload.charter.envelope, links: chain.linksSince(-1) });
	const read = createAdvertisementReader(trust);
	const sample = encodeAdvertisement(service, cert);
	read(sample, NOW_MS);
	const key = `/svc/${wid}/${read(sample, NOW_MS).record.replicaId}`;
	const keys = [new Uint8Array(32).fill(9)];
	const options = { read: (bytes: Uint8Array) => read(bytes, NOW_MS), wid, recordKeys: () => keys };
	const open = (value: Uint8Array): Accepted => {
		const { bytes } = openAt(options, key, value);
		return { proved: Object.values(decodeRecord(bytes) as Record<string, Uint8Array>) };
	};
	const refuses = codes('invalid_input', 'unauthorized', 'not_found');
	const { epoch } = founding;
	const session = new ReplicaSession({
		owner: owner.publicKey,
		psk: () => undefined,
		trust,
		sign: (message) => message,
	});
	const { replicaId } = peekRecord('replica-cert', cert).body;
	const sealed = sealRecord(keys, key, sample);
	return [
		{
			...{ name: 'advertisement', weight: 30, form: 'cbor', refuses: recordCodes },
			samples: [sample, encodeAdvertisement(service)],
			accept: (bytes) => ({
				proved: Object.values(decodeRecord(read(bytes, NOW_MS).bytes) as Record<string, Uint8Array>),
			}),
		},
		{
			...{ name: 'replica credential in a session', weight: 20, form: 'cbor', refuses: recordCodes },
			samples: [encodeRecord({ cert, epoch }), encodeRecord({ cert })],
			async accept(bytes) {
				await session.verify(bytes, replicaId);
				// The epoch is for whoever is behind; one that is of no use is passed over.
				return { proved: [(decodeRecord(bytes) as { readonly cert: Uint8Array }).cert] };
			},
		},
		{
			...{ name: 'DHT value', weight: 10, form: 'bytes', samples: [sealed], refuses },
			accept: (bytes) => open(bytes),
		},
		{
			...{ name: 'DHT value, inside', weight: 20, form: 'cbor', samples: [sample], refuses },
			accept: (bytes) => open(sealRecord(keys, key, bytes)),
		},
		{
			...{ name: 'DHT record', weight: 10, form: 'bytes', samples: [dhtRecord(key, sealed)], refuses },
			async accept(bytes) {
				const store = new DhtStore(
					{
						...{ recordBytesMax: 2 ** 16, recordsMax: 4, recordsPerAuthorMax: 1 },
						...{ providersMax: 1, providersPerPeerMax: 1, providerTtlMs: 1_000 },
						read: (_, value) => ({ author: 'a', order: 1, content: value, untilMs: NOW_MS }),
					},
					() => NOW_MS,
				);
				await store.put({ toString: () => '/dht/record/nfxgy' }, bytes);
				return MADE_OF_NOTHING;
			},
		},
	];
}

/** libp2p's record: key and value, each with a tag and a length of two bytes. */
function dhtRecord(key: string, value: Uint8Array): Uint8Array {
	const field = (tag: number, bytes: Uint8Array): Uint8Array =>
		concat(Uint8Array.of(tag, (bytes.byteLength & 0x7f) | 0x80, bytes.byteLength >>> 7), bytes);
	return concat(field(0x0a, new TextEncoder().encode(key)), field(0x12, value));
}
