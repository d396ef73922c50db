/**
 * What a node keeps for a DHT, in memory and bounded: a record only when its rules take it and nothing newer is there, few
 * records per author and provider entries per peer, nothing for longer than it is valid. Stands in for the datastore that
 * libp2p gives its kad-dht, which keeps what anybody sends for two days.
 */
import { base32 } from 'multiformats/bases/base32';
import { MeshError } from '../../errors.ts';
import { sameBytes } from '../../identity/index.ts';

export interface StoredRecord {
	/** Whose it is, for the limit per author. */
	readonly author: string;
	/** Higher replaces lower; of equal ones the first stays. */
	readonly order: number;
	/** Two records of one order must not differ in this. */
	readonly content: Uint8Array;
	readonly untilMs: number;
}

export interface DhtRules {
	/** Reads a value under its key; throws on what must not be kept or believed. */
	read(key: string, value: Uint8Array): StoredRecord;
	/** Whether peers may be listed as providers of this multihash. @default all */
	readonly isProvided?: (multihash: Uint8Array) => boolean;
	readonly recordBytesMax: number;
	readonly recordsMax: number;
	readonly recordsPerAuthorMax: number;
	readonly providersMax: number;
	readonly providersPerPeerMax: number;
	readonly providerTtlMs: number;
}

interface Key {
	toString(): string;
}
interface Entry {
	readonly bytes: Uint8Array;
	/** Author or peer. */
	readonly owner: string;
	readonly untilMs: number;
	readonly record: StoredRecord | undefined;
}

const RECORD = '/dht/record/';
const PROVIDER = '/dht/provider/';

export class DhtStore {
	readonly #rules: DhtRules;
	readonly #nowMs: () => number;
	readonly #records = new Map<string, Entry>();
	readonly #providers = new Map<string, Entry>();

	constructor(rules: DhtRules, nowMs: () => number) {
		this.#rules = rules;
		this.#nowMs = nowMs;
	}

	get size(): { readonly records: number; readonly providers: number } {
		return { records: this.#records.size, providers: this.#providers.size };
	}

	/** Throws `invalid_input`, `unauthorized`, `conflict` (older than what is here) or `exhausted`. */
	async put(key: Key, bytes: Uint8Array): Promise<Key> {
		const name = key.toString();
		if (name.startsWith(RECORD)) this.#putRecord(name, bytes);
		else if (name.startsWith(PROVIDER)) this.#putProvider(name, bytes);
		else throw new MeshError('invalid_input', `a DHT keeps nothing under ${name.slice(0, 64)}`);
		return key;
	}

	async get(key: Key): Promise<Uint8Array> {
		const name = key.toString();
		const entry = this.#of(name).get(name);
		if (entry === undefined || entry.untilMs < this.#nowMs()) throw new NotFoundError();
		return entry.bytes;
	}

	async has(key: Key): Promise<boolean> {
		return this.#of(key.toString()).has(key.toString());
	}

	async delete(key: Key): Promise<void> {
		this.#of(key.toString()).delete(key.toString());
	}

	async *query<K extends Key>({ prefix = '' }: { prefix?: string }): AsyncGenerator<{ key: K; value: Uint8Array }> {
		const entries = this.#of(`${prefix}/`);
		this.#expire(entries);
		for (const [name, { bytes }] of [...entries]) {
			if (name.startsWith(prefix)) yield { key: { toString: () => name } as K, value: bytes };
		}
	}

	#of(name: string): Map<string, Entry> {
		return name.startsWith(PROVIDER) ? this.#providers : this.#records;
	}

	#putRecord(name: string, bytes: Uint8Array): void {
		const { recordBytesMax, recordsMax, recordsPerAuthorMax } = this.#rules;
		const key = new TextDecoder().decode(base32.decode(`b${name.slice(RECORD.length)}`));
		const value = valueIn(bytes);
		if (value.byteLength > recordBytesMax) {
			throw new MeshError('invalid_input', `a DHT value has ${value.byteLength} bytes, the limit is ${recordBytesMax}`);
		}
		const record = this.#rules.read(key, value);
		const known = this.#records.get(name);
		if (known?.record !== undefined && known.untilMs >= this.#nowMs()) {
			const { order, content } = known.record;
			if (record.order < order) throw new MeshError('conflict', 'the DHT has a newer record under this key');
			if (record.order === order && !sameBytes(record.content, content)) {
				throw new MeshError('conflict', 'the DHT has another record of this number under this key');
			}
		}
		const { author, untilMs } = record;
		if (known?.owner !== author) this.#requireRoom(this.#records, author, recordsMax, recordsPerAuthorMax);
		this.#records.set(name, { bytes, owner: author, untilMs, record });
	}

	#putProvider(name: string, bytes: Uint8Array): void {
		const { isProvided = () => true, providersMax, providersPerPeerMax, providerTtlMs } = this.#rules;
		const [multihash = '', peer = ''] = name.slice(PROVIDER.length).split('/');
		if (!isProvided(base32.decode(`b${multihash}`))) {
			throw new MeshError('unauthorized', 'nobody is listed as a provider of that here');
		}
		if (!this.#providers.has(name)) this.#requireRoom(this.#providers, peer, providersMax, providersPerPeerMax);
		const untilMs = this.#nowMs() + providerTtlMs;
		this.#providers.set(name, { bytes, owner: peer, untilMs, record: undefined });
	}

	#requireRoom(entries: Map<string, Entry>, owner: string, max: number, perOwnerMax: number): void {
		const isFull = (): boolean => {
			let owned = 0;
			for (const entry of entries.values()) if (entry.owner === owner) owned++;
			return entries.size >= max || owned >= perOwnerMax;
		};
		if (!isFull()) return;
		this.#expire(entries);
		// What lives is not evicted: a flood must not push out what others rely on.
		if (isFull()) throw new MeshError('exhausted', `the DHT keeps no more entries of ${owner}`);
	}

	#expire(entries: Map<string, Entry>): void {
		const nowMs = this.#nowMs();
		for (const [name, { untilMs }] of entries) if (untilMs < nowMs) entries.delete(name);
	}
}

/** How libp2p tells that there is none. */
class NotFoundError extends Error {
	override readonly name = 'NotFoundError';
}

const FIELD_VALUE = 2;
const LENGTH_DELIMITED = 2;

/** Field 2 of libp2p's record, whose fields are all of bytes. Throws `invalid_input` for anything else. */
function valueIn(record: Uint8Array): Uint8Array {
	let at = 0;
	const varint = (): number => {
		let value = 0;
		for (let shift = 0; shift < 28; shift += 7) {
			const byte = record[at++] ?? 0x100;
			if (byte > 0xff) break;
			value |= (byte & 0x7f) << shift;
			if (byte < 0x80) return value;
		}
		throw new MeshError('invalid_input', 'not a record of a DHT');
	};
	let value: Uint8Array = new Uint8Array(0);
	while (at < record.byteLength) {
		const tag = varint();
		const length = varint();
		if ((tag & 7) !== LENGTH_DELIMITED || at + length > record.byteLength) {
			throw new MeshError('invalid_input', 'not a record of a DHT');
		}
		if (tag >>> 3 === FIELD_VALUE) value = record.subarray(at, at + length);
		at += length;
	}
	return value;
}
