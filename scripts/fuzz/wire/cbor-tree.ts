/**
 * A record as the spans of its values, so that one of them can be replaced and everything around it stays well formed.
 * Byte strings that hold a record themselves (bodies in envelopes, envelopes in bundles) are part of the tree: their
 * lengths are put right when something inside them changes.
 */
import { concat } from '../../../sdk/src/wire/bytes.ts';

/** One value of the tree. */
export interface Span {
	readonly start: number;
	/** Where its content begins, after its head. */
	readonly content: number;
	readonly end: number;
	readonly major: number;
	/** Its number, its length, or how many values it holds. */
	readonly argument: number;
	readonly parent: Span | undefined;
	/** A map's keys and values in turn; what a byte string holds. */
	readonly children: Span[];
}

export interface Tree {
	readonly bytes: Uint8Array;
	/** Root first. */
	readonly spans: readonly Span[];
}

/** Shorter byte strings are keys and nonces, which look like records by chance. */
const NESTED_BYTES_MIN = 24;

/** Of canonical DAG-CBOR. Undefined for anything else. */
export function treeOf(bytes: Uint8Array): Tree | undefined {
	const spans: Span[] = [];
	const end = read(bytes, 0, bytes.byteLength, undefined, spans);
	return end === bytes.byteLength ? { bytes, spans } : undefined;
}

/** The end of the value at this place; -1 where there is none. */
function read(bytes: Uint8Array, start: number, limit: number, parent: Span | undefined, spans: Span[]): number {
	if (start >= limit) return -1;
	const first = bytes[start] as number;
	const [major, info] = [first >>> 5, first & 31];
	let argument = info;
	let at = start + 1;
	if (info >= 24) {
		const size = 2 ** (info - 24);
		if (info > 27 || at + size > limit) return -1;
		argument = 0;
		for (let i = 0; i < size; i++) argument = argument * 256 + (bytes[at++] as number);
	}
	const children: Span[] = [];
	const span = { start, content: at, end: at, major, argument, parent, children };
	spans.push(span);
	parent?.children.push(span);
	const length = major === 2 || major === 3 ? argument : 0;
	const values = major === 4 ? argument : major === 5 ? argument * 2 : major === 6 ? 1 : 0;
	for (let i = 0; i < values; i++) {
		at = read(bytes, at, limit, span, spans);
		if (at < 0) return -1;
	}
	span.end = at + length;
	if (span.end > limit) return -1;
	if (major === 2 && length >= NESTED_BYTES_MIN && (bytes[at] as number) >>> 5 === 5) {
		const before = spans.length;
		if (read(bytes, at, span.end, span, spans) !== span.end) {
			spans.length = before;
			children.length = 0;
		}
	}
	return span.end;
}

export function headOf(major: number, argument: number): Uint8Array {
	for (const [size, limit] of SIZES) if (argument < limit) return longHead(major, argument, size);
	return longHead(major, argument, 8);
}

const SIZES = [
	[0, 24],
	[1, 2 ** 8],
	[2, 2 ** 16],
	[4, 2 ** 32],
] as const;

/** With this many bytes for the number, which are more than it takes in forms that are not canonical. */
export function longHead(major: number, argument: number, size: number): Uint8Array {
	if (size === 0) return Uint8Array.of((major << 5) | argument);
	const head = new Uint8Array(1 + size);
	head[0] = (major << 5) | (24 + Math.log2(size));
	for (let i = size, rest = argument; i > 0; i--, rest = Math.floor(rest / 256)) head[i] = rest % 256;
	return head;
}

/** The whole with other bytes in place of one value. */
export function replaced({ bytes }: Tree, span: Span, by: Uint8Array): Uint8Array {
	let { start, end } = span;
	let piece: Uint8Array = by;
	for (let outer = span.parent; outer !== undefined; outer = outer.parent) {
		if (outer.major !== 2) continue;
		const content = concat(bytes.subarray(outer.content, start), piece, bytes.subarray(end, outer.end));
		piece = concat(headOf(2, content.byteLength), content);
		({ start, end } = outer);
	}
	return concat(bytes.subarray(0, start), piece, bytes.subarray(end));
}
