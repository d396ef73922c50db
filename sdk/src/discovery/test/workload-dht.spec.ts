import { randomBytes } from 'node:crypto';
import { type KadDHT, kadDHT, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht';
import { multiaddr } from '@multiformats/multiaddr';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { CID } from 'multiformats/cid';
import { isMeshError, MeshError } from '../../errors.ts';
import { createKeyPair, createPeerKey, genesisFor, workloadIdOf } from '../../identity/index.ts';
import { createLibp2pNode, peerIdFromSeed } from '../../streams/libp2p/index.ts';
import { createTestMesh } from '../../streams/session/test/identities.ts';
import type { Transport } from '../../streams/transport.ts';
import type { Advertisement } from '../advertisement.ts';
import { createWorkloadDht, openAt, sealRecord, workloadDhtService } from '../workload-dht.ts';

const ownerKey = createKeyPair().publicKey;
const wid = workloadIdOf(genesisFor(ownerKey, 'Deployment', 'default', 'web'));
const other = workloadIdOf(genesisFor(ownerKey, 'Deployment', 'default', 'other'));
const recordKey = new Uint8Array(randomBytes(32));
const recordKeys = (): readonly Uint8Array[] => [recordKey];

/** Instead of certificates and signatures, which have tests of their own: whoever writes `signed` has signed. */
function read(bytes: Uint8Array): Advertisement {
	const record = JSON.parse(new TextDecoder().decode(bytes));
	if (record.signed !== true) throw new MeshError('unauthorized', 'not signed');
	return { record, bytes } as Advertisement;
}

function advertisement(replicaId: string, seq: number, change: object = {}): Advertisement {
	const record = {
		wid,
		replicaId,
		seq,
		exp: Date.now() + 15_000,
		signed: true,
		canary: 'canary',
		left: false,
		...change,
	};
	return { record, bytes: new TextEncoder().encode(JSON.stringify(record)) } as unknown as Advertisement;
}

function codeOf(attempt: () => unknown): string {
	try {
		attempt();
		return 'done';
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return error.code;
	}
}

describe('records of the workload DHT', () => {
	const id = createPeerKey().peerId;
	const key = `/svc/${wid}/${id}`;
	const options = { wid, read, recordKeys };
	const openSealed = (ad: Advertisement, at = key, sealedAt = at, by = recordKey): string =>
		codeOf(() => openAt(options, at, sealRecord([by], sealedAt, ad.bytes)));

	it('open under their own key only, with the key of the members, and are read', () => {
		const ad = advertisement(id, Date.now());
		expect(openSealed(ad)).to.equal('done');
		expect(
			codeOf(() => openAt(options, key, ad.bytes)),
			'naked',
		).to.equal('invalid_input');
		expect(openSealed(ad, key, key, new Uint8Array(32)), 'sealed by a stranger').to.equal('not_found');
		expect(openSealed(ad, key, `/svc/${wid}/another`), 'moved').to.equal('unauthorized');
		expect(openSealed(ad, `/svc/${wid}/another`), 'under a foreign key').to.equal('unauthorized');
		expect(openSealed(ad, `/svc/${other}/${id}`), 'in another workload').to.equal('unauthorized');
		expect(openSealed(advertisement(id, Date.now(), { signed: false })), 'not signed').to.equal('unauthorized');
	});

	it('have numbers of this day', () => {
		expect(openSealed(advertisement(id, Date.now() + 23 * 3_600_000))).to.equal('done');
		expect(openSealed(advertisement(id, Date.now() + 25 * 3_600_000))).to.equal('invalid_input');
		expect(openSealed(advertisement(id, Number.MAX_SAFE_INTEGER))).to.equal('invalid_input');
	});
});

describe('workload DHT', function () {
	this.timeout(20_000);
	const open: Transport[] = [];
	const mesh = createTestMesh({ plane: 'work' });

	afterEach(async () => {
		await Promise.all(open.splice(0).map((transport) => transport[Symbol.asyncDispose]()));
	});

	async function node(service: ReturnType<typeof workloadDhtService>) {
		const seed = randomBytes(32);
		const { node, transport } = await createLibp2pNode<{ dht: KadDHT }>({
			seed,
			session: mesh.issue('member', peerIdFromSeed(seed)),
			listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
			services: { dht: service as never },
		});
		open.push(transport);
		return { node, transport, dht: node.services.dht as SingleKadDHT };
	}

	it('keeps sealed advertisements: a thief that reads them all learns nothing, and can put nothing', async () => {
		const options = { wid, read, recordKeys };
		const [one, two] = [await node(workloadDhtService(options)), await node(workloadDhtService(options))];
		const stock = kadDHT({
			protocol: `/beemesh/w/${wid}/kad/1.0.0`,
			clientMode: false,
			peerInfoMapper: passthroughMapper,
			validators: { svc: () => undefined },
			selectors: { svc: () => 0 },
		});
		const thief = await node(stock as never);
		const addresses = two.transport.addresses().map((address) => multiaddr(address));
		for (const each of [one, thief]) {
			await each.node.dial(addresses);
			while (each.dht.routingTable.size === 0) await new Promise((resolve) => setTimeout(resolve, 20));
		}
		const id = one.transport.peerId;
		const signal = AbortSignal.timeout(10_000);
		const seq = Date.now();
		await createWorkloadDht(one.dht, options).put(advertisement(id, seq), signal);
		const key = new TextEncoder().encode(`/svc/${wid}/${id}`);
		const stolen: Uint8Array[] = [];
		for await (const event of thief.dht.get(key, { signal })) if (event.name === 'VALUE') stolen.push(event.value);
		expect(stolen).to.not.have.length(0);
		expect(Buffer.concat(stolen).includes('canary')).to.equal(false);
		const put = async (at: string, value: Uint8Array): Promise<number> => {
			let taken = 0;
			for await (const event of thief.dht.put(new TextEncoder().encode(at), value, { signal })) {
				if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') taken++;
			}
			return taken;
		};
		const at = `/svc/${wid}/${id}`;
		// Even with the key: older, or of the same number and different.
		for (const ad of [advertisement(id, seq - 1), advertisement(id, seq, { canary: 'changed' })]) {
			expect(await put(at, sealRecord([recordKey], at, ad.bytes))).to.equal(0);
		}
		expect(await put(at, advertisement(id, seq + 1).bytes)).to.equal(0);
		expect(await put('/svc/x/y', new Uint8Array(10))).to.equal(0);
		// Nobody is listed as a provider of anything but this workload.
		for await (const _ of thief.dht.provide(CID.parse(other), { signal }));
		for await (const _ of thief.dht.provide(CID.parse(wid), { signal }));
		const listed = async (cid: string): Promise<number> =>
			(await providersOf(two.dht).getProviders(CID.parse(cid))).length;
		expect(await listed(other)).to.equal(0);
		expect(await listed(wid)).to.be.greaterThan(0);
		const found: string[] = [];
		for await (const bytes of createWorkloadDht(two.dht, options).find(signal))
			found.push(read(bytes).record.replicaId);
		expect(found).to.include(id);
	});
});

/** kad-dht's class has it, its interface does not say so. */
function providersOf(dht: SingleKadDHT) {
	return (dht as SingleKadDHT & { readonly providers: { getProviders(cid: CID): Promise<unknown[]> } }).providers;
}
