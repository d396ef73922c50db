/**
 * What a snapshot of a replica holds: first what the group itself remembers (who the members are, and the sessions
 * with their results, or a retried command would apply twice), then the bytes of the app's state machine.
 */
import { ByteReader, ByteWriter } from './codec/bytes.ts';
import { packValue, unpackValue } from './codec/values.ts';
import type { MemberId } from './core/index.ts';
import type { DumpedSessions } from './sessions.ts';

export interface ReplicaHead<T> {
	readonly contexts: Iterable<readonly [MemberId, Uint8Array]>;
	readonly sessions: DumpedSessions<T>;
}

const LENGTH_BYTES = 4;

/** What is read of its arguments is read before this returns, as far as they allow. */
export function writeReplica<T>(
	{ contexts, sessions }: ReplicaHead<T>,
	machine: AsyncIterable<Uint8Array> | Uint8Array,
): AsyncIterable<Uint8Array> {
	const writer = new ByteWriter();
	writer.bytes(packValue({ contexts: [...contexts], sessions }));
	const head = writer.view();
	if (machine instanceof Uint8Array) return chunks(head, machine);
	const rest = machine[Symbol.asyncIterator]();
	// At once: a generator begins to look at the state only when it is first asked.
	return stream(head, rest, rest.next());
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
	yield* parts;
}

async function* stream(
	head: Uint8Array,
	rest: AsyncIterator<Uint8Array>,
	first: Promise<IteratorResult<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
	// It may fail long before anybody asks.
	first.catch(() => undefined);
	try {
		yield head;
		for (let next = await first; !next.done; next = await rest.next()) yield next.value;
	} finally {
		await rest.return?.();
	}
}

export interface ReadReplica<T> {
	readonly head: ReplicaHead<T>;
	readonly content: AsyncIterable<Uint8Array>;
	/** Reads on to the end, whatever was left: only there a source may say that its bytes are damaged. */
	readonly finish: () => Promise<void>;
}

/** Throws `MalformedBytes`, and whatever reading throws. */
export async function readReplica<T>(bytes: AsyncIterable<Uint8Array>): Promise<ReadReplica<T>> {
	const source = bytes[Symbol.asyncIterator]();
	let held: Uint8Array = new Uint8Array(0);
	const need = async (count: number): Promise<void> => {
		const parts = [held];
		let length = held.length;
		while (length < count) {
			const next = await source.next();
			if (next.done) break;
			parts.push(next.value);
			length += next.value.length;
		}
		if (parts.length > 1) held = Buffer.concat(parts);
	};
	await need(LENGTH_BYTES);
	const length = new ByteReader(held).u32();
	await need(LENGTH_BYTES + length);
	const head = unpackValue(new ByteReader(held, LENGTH_BYTES).raw(length)) as ReplicaHead<T>;
	const rest = held.subarray(LENGTH_BYTES + length);
	async function* content(): AsyncGenerator<Uint8Array> {
		if (rest.length > 0) yield rest;
		for (let next = await source.next(); !next.done; next = await source.next()) yield next.value;
	}
	const finish = async (): Promise<void> => {
		while (!(await source.next()).done);
	};
	return { head, content: content(), finish };
}
