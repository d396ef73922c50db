import { expect } from 'chai';
import { describe, it } from 'mocha';
import { base32 } from 'multiformats/bases/base32';
import { isMeshError, MeshError } from '../../errors.ts';
import { DhtStore } from './dht-store.ts';

/** `author:order:content:untilMs`. */
const rules = {
	read(key: string, value: Uint8Array) {
		const [author = '', order = '', content = '', untilMs = ''] = new TextDecoder().decode(value).split(':');
		if (!key.startsWith('/test/')) throw new MeshError('invalid_input', 'no such namespace');
		return { author, order: Number(order), content: new TextEncoder().encode(content), untilMs: Number(untilMs) };
	},
	isProvided: (multihash: Uint8Array) => multihash[0] === 7,
	recordBytesMax: 64,
	recordsMax: 5,
	recordsPerAuthorMax: 2,
	providersMax: 4,
	providersPerPeerMax: 2,
	providerTtlMs: 1_000,
};

const encoder = new TextEncoder();
const field = (number: number, bytes: Uint8Array): number[] => [(number << 3) | 2, bytes.byteLength, ...bytes];
const record = (key: string, value: string): Uint8Array =>
	Uint8Array.from([...field(1, encoder.encode(key)), ...field(2, encoder.encode(value))]);
const recordName = (key: string): string => `/dht/record/${base32.encode(encoder.encode(key)).slice(1)}`;
const providerName = (first: number, rest: number, peer: string): string =>
	`/dht/provider/${base32.encode(Uint8Array.of(first, rest)).slice(1)}/${peer}`;

async function codeOf(attempt: Promise<unknown>): Promise<string> {
	try {
		await attempt;
		return 'done';
	} catch (error) {
		return isMeshError(error) ? error.code : (error as Error).name;
	}
}

describe('store of a DHT', () => {
	it('keeps the newest record of a key, and one of each number', async () => {
		const store = new DhtStore(rules, () => 0);
		const name = recordName('/test/a');
		const put = (value: string) => codeOf(store.put(name, record('/test/a', value)));
		expect(await put('x:5:one:10')).to.equal('done');
		expect(await put('x:4:old:10')).to.equal('conflict');
		expect(await put('x:5:one:10')).to.equal('done');
		expect(await put('x:5:two:10')).to.equal('conflict');
		expect(await store.get(name)).to.deep.equal(record('/test/a', 'x:5:one:10'));
		expect(await put('x:6:two:10')).to.equal('done');
		expect(store.size.records).to.equal(1);
	});

	it('forgets what is over, and takes older ones again then', async () => {
		let nowMs = 0;
		const store = new DhtStore(rules, () => nowMs);
		const name = recordName('/test/a');
		await store.put(name, record('/test/a', 'x:5:one:10'));
		nowMs = 11;
		expect(await codeOf(store.get(name))).to.equal('NotFoundError');
		expect(await codeOf(store.put(name, record('/test/a', 'x:4:old:20')))).to.equal('done');
	});

	it('keeps few of one author and few in all, and pushes out nothing that lives', async () => {
		let nowMs = 0;
		const store = new DhtStore(rules, () => nowMs);
		const put = (key: string, value: string) => codeOf(store.put(recordName(key), record(key, value)));
		expect([
			await put('/test/1', 'x:1::10'),
			await put('/test/2', 'x:1::10'),
			await put('/test/3', 'x:1::10'),
		]).to.deep.equal(['done', 'done', 'exhausted']);
		for (const key of ['/test/4', '/test/5', '/test/6']) expect(await put(key, `${key}:1::20`)).to.equal('done');
		expect(await put('/test/7', 'y:1::20')).to.equal('exhausted');
		nowMs = 15;
		expect(await put('/test/7', 'y:1::20')).to.equal('done');
		expect(store.size.records).to.equal(4);
	});

	it('refuses other namespaces, sizes, forms and places', async () => {
		const store = new DhtStore(rules, () => 0);
		expect(await codeOf(store.put(recordName('/pk/1'), record('/pk/1', 'x:1::9')))).to.equal('invalid_input');
		expect(await codeOf(store.put(recordName('/test/1'), record('/test/1', 'x'.repeat(65))))).to.equal('invalid_input');
		expect(await codeOf(store.put('/peers/1', new Uint8Array(1)))).to.equal('invalid_input');
		for (const bytes of [
			[0xff, 0xff, 0xff, 0xff, 0xff],
			[10, 200, 1],
			[8, 1],
			[18, 0xff, 0xff, 0xff, 0xff, 0x0f],
		]) {
			const code = await codeOf(store.put(recordName('/test/1'), Uint8Array.from(bytes)));
			expect(code, bytes.join()).to.equal('invalid_input');
		}
		expect(store.size.records).to.equal(0);
	});

	it('lists few provisions of one peer, of what is provided here, for as long as they hold', async () => {
		let nowMs = 0;
		const store = new DhtStore(rules, () => nowMs);
		const put = (first: number, rest: number, peer: string) =>
			codeOf(store.put(providerName(first, rest, peer), new Uint8Array(1)));
		expect([await put(7, 1, 'a'), await put(7, 2, 'a'), await put(7, 3, 'a')]).to.deep.equal([
			'done',
			'done',
			'exhausted',
		]);
		expect(await put(8, 1, 'b')).to.equal('unauthorized');
		expect([await put(7, 1, 'b'), await put(7, 1, 'c'), await put(7, 1, 'd')]).to.deep.equal([
			'done',
			'done',
			'exhausted',
		]);
		const listed = async (): Promise<number> => {
			let count = 0;
			for await (const _ of store.query({ prefix: '/dht/provider' })) count++;
			return count;
		};
		expect(await listed()).to.equal(4);
		nowMs = 1_001;
		expect(await listed()).to.equal(0);
	});
});
