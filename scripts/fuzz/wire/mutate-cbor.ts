/** Alterations of a record that keep most of it well formed, so that they are met behind the first check and not by it. */

import { concat } from '../../../sdk/src/wire/bytes.ts';
import type { CaseRandom } from '../random.ts';
import { headOf, longHead, replaced, type Span, type Tree } from './cbor-tree.ts';
import { HOSTILE_NAMES, mutateBytes } from './mutate.ts';

const utf8 = new TextEncoder();
const text = (value: string): Uint8Array => concat(headOf(3, utf8.encode(value).byteLength), utf8.encode(value));
const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

const SAFE_MAX = 2 ** 53;
const EDGE_NUMBERS = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, SAFE_MAX - 1, SAFE_MAX];

/** Values of every kind there is in CBOR, and some that DAG-CBOR does not have. */
const ODD_VALUES: readonly [Uint8Array, ...Uint8Array[]] = [
	bytesOf(0x00),
	bytesOf(0x20),
	bytesOf(0x40),
	bytesOf(0x60),
	bytesOf(0x80),
	bytesOf(0xa0),
	bytesOf(0xf4),
	bytesOf(0xf6),
	// undefined, simple value 0 and 255
	bytesOf(0xf7),
	bytesOf(0xe0),
	bytesOf(0xf8, 0xff),
	// half float, infinity, NaN, 1.5, -0.0, 1e300
	bytesOf(0xf9, 0x3c, 0x00),
	bytesOf(0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0),
	bytesOf(0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
	bytesOf(0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0),
	bytesOf(0xfb, 0x80, 0, 0, 0, 0, 0, 0, 0),
	bytesOf(0xfb, 0x7e, 0x37, 0xe4, 0x3c, 0x88, 0x00, 0x75, 0x9c),
	// 2^64 - 1, -2^64, 2^53 + 1
	bytesOf(0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0x1b, 0x00, 0x20, 0, 0, 0, 0, 0, 1),
	// indefinite lengths, whole and cut short; a lone break
	bytesOf(0x5f, 0x41, 0x00, 0xff),
	bytesOf(0x7f, 0x61, 0x61, 0xff),
	bytesOf(0x9f, 0x00, 0xff),
	bytesOf(0xbf, 0x61, 0x61, 0x00, 0xff),
	bytesOf(0x9f),
	bytesOf(0xff),
	// heads that promise the most there can be
	bytesOf(0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0x5a, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0x7a, 0x7f, 0xff, 0xff, 0xff),
	bytesOf(0x9a, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0x9b, 0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	bytesOf(0xba, 0xff, 0xff, 0xff, 0xff),
	// tags: a date, a bignum, a CID that is none, one without its zero, and one that is one
	bytesOf(0xc0, 0x60),
	bytesOf(0xc2, 0x41, 0x01),
	bytesOf(0xd8, 0x2a, 0x40),
	bytesOf(0xd8, 0x2a, 0x42, 0x01, 0x71),
	bytesOf(0xd8, 0x2a, 0x45, 0x00, 0x01, 0x55, 0x00, 0x00),
	bytesOf(0xd8, 0x2a, 0x4b, 0x00, 0x01, 0x71, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	// text that is no UTF-8, a map with a number for a key, one with a key twice, keys out of order
	bytesOf(0x62, 0xc3, 0x28),
	bytesOf(0x63, 0xed, 0xa0, 0x80),
	bytesOf(0xa1, 0x00, 0x00),
	bytesOf(0xa2, 0x61, 0x61, 0x00, 0x61, 0x61, 0x00),
	bytesOf(0xa2, 0x61, 0x62, 0x00, 0x61, 0x61, 0x00),
	...HOSTILE_NAMES.map(text),
];

/** `donors`: records of all types, whose values are put into this one. */
export function mutateCbor(random: CaseRandom, tree: Tree, donors: readonly Tree[]): Uint8Array {
	const { bytes, spans } = tree;
	const span = spans[random.below(spans.length)] as Span;
	const own = bytes.subarray(span.start, span.end);
	const replace = (by: Uint8Array): Uint8Array => replaced(tree, span, by);
	switch (random.below(16)) {
		case 0:
		case 1:
			return replace(random.pick(ODD_VALUES));
		case 2:
		case 3: {
			// A field of another record, or all of it.
			const donor = donors[random.below(donors.length)] as Tree;
			const found = random.chance(90) ? donor.spans[random.below(donor.spans.length)] : donor.spans[0];
			return replace(found === undefined ? own : donor.bytes.subarray(found.start, found.end));
		}
		case 4:
			return replace(longForm(random, bytes, span));
		case 5:
			return replace(concat(otherHead(random, span), bytes.subarray(span.content, span.end)));
		case 6:
			return replace(nest(random, own));
		case 7:
		case 8:
			return replace(otherScalar(random, tree, span));
		case 9:
			return random.chance(50) ? mutateBytes(random, bytes, [own]) : replace(mutateBytes(random, own, [bytes]));
		case 10:
			return replace(random.chance(50) ? new Uint8Array(0) : concat(own, own));
		case 11:
			return random.chance(95) ? replace(own.slice(0, random.below(own.byteLength + 1))) : replace(manyValues(random));
		default: {
			const container = containerOf(span);
			return container === undefined
				? replace(random.pick(ODD_VALUES))
				: replaced(tree, container, otherEntries(random, bytes, container));
		}
	}
}

function containerOf(span: Span): Span | undefined {
	for (let found: Span | undefined = span; found !== undefined; found = found.parent)
		if (found.major === 4 || found.major === 5) return found;
	return undefined;
}

/** Fields or elements removed, repeated, exchanged, reordered or added. */
function otherEntries(random: CaseRandom, bytes: Uint8Array, { major, children }: Span): Uint8Array {
	const step = major === 5 ? 2 : 1;
	const entries: Uint8Array[] = [];
	for (let i = 0; i + step <= children.length; i += step)
		entries.push(bytes.subarray((children[i] as Span).start, (children[i + step - 1] as Span).end));
	const at = random.below(Math.max(1, entries.length));
	const other = random.below(Math.max(1, entries.length));
	const entry = entries[at] ?? concat(text('x'), bytesOf(0));
	switch (random.below(6)) {
		case 0:
			entries.splice(at, 1);
			break;
		case 1:
			entries.splice(other, 0, entry);
			break;
		case 2:
			entries[at] = entries[other] ?? entry;
			entries[other] = entry;
			break;
		case 3:
			entries.reverse();
			break;
		case 4:
			if (major === 4)
				entries.push(...new Array<Uint8Array>(repeats(random.pick([1, 17, 65, 300, 2100]), entry)).fill(entry));
			else entries.push(concat(text(random.pick(HOSTILE_NAMES)), random.pick(ODD_VALUES)));
			break;
		default: {
			// An unknown field in the place that its name belongs to.
			const key = children[at * step];
			const name = key?.major === 3 ? bytes.slice(key.start, key.end) : text('zzzzzzzzzzzzzzzzzzzz');
			name[name.byteLength - 1] = (name.at(-1) ?? 0) + 1;
			entries.splice(at + 1, 0, major === 5 ? concat(name, random.pick(ODD_VALUES)) : random.pick(ODD_VALUES));
		}
	}
	return concat(headOf(major, entries.length), ...entries);
}

/** Enough to exceed every limit there is, and not much more: copying costs time. */
function repeats(wanted: number, { byteLength }: Uint8Array): number {
	return Math.max(1, Math.min(wanted, Math.floor(REPEATED_BYTES_MAX / byteLength)));
}
const REPEATED_BYTES_MAX = 300 * 1024;

function longForm(random: CaseRandom, bytes: Uint8Array, { major, argument, content, end }: Span): Uint8Array {
	if (major === 7) return bytesOf(0xf8, argument & 0xff);
	const size = random.pick([1, 2, 4, 8]);
	return concat(longHead(major, argument, size), bytes.subarray(content, end));
}

/** Promises more or less than there is, or another kind of it. */
function otherHead(random: CaseRandom, { major, argument }: Span): Uint8Array {
	if (random.chance(30)) return headOf(random.below(7), argument);
	const promised = random.chance(50) ? Math.max(0, argument + random.pick([-1, 1])) : random.pick(EDGE);
	return major === 7 ? headOf(6, promised) : headOf(major, promised);
}
const EDGE = EDGE_NUMBERS as [number, ...number[]];

function otherScalar(random: CaseRandom, { bytes }: Tree, { major, argument, content, end }: Span): Uint8Array {
	if (major === 0 || major === 1) {
		const number = random.chance(50) ? Math.max(0, argument + random.pick([-1, 1, 1000])) : random.pick(EDGE);
		return headOf(random.chance(85) ? 0 : 1, number);
	}
	if (major === 2 || major === 3) {
		const inside = bytes.subarray(content, end);
		const altered =
			inside.byteLength > 0 && random.chance(40) ? flipped(random, inside) : mutateBytes(random, inside, []);
		return concat(headOf(major, altered.byteLength), altered);
	}
	return random.pick(ODD_VALUES);
}

function flipped(random: CaseRandom, bytes: Uint8Array): Uint8Array {
	const copy = bytes.slice();
	const at = random.below(copy.byteLength);
	copy[at] = (copy[at] as number) ^ (1 << random.below(8));
	return copy;
}

function nest(random: CaseRandom, own: Uint8Array): Uint8Array {
	const depth = random.chance(95) ? 1 + random.below(24) : random.pick([1_000, 20_000]);
	const unit = random.pick([
		bytesOf(0x81),
		bytesOf(0xa1, 0x61, 0x78),
		bytesOf(0xd8, 0x2a),
		bytesOf(0xc1),
		bytesOf(0x9f),
	]);
	const prefix = new Uint8Array(unit.byteLength * depth);
	for (let i = 0; i < depth; i++) prefix.set(unit, i * unit.byteLength);
	return concat(prefix, own);
}

function manyValues(random: CaseRandom): Uint8Array {
	const count = random.pick([5_000, 30_000, 60_000]);
	return concat(headOf(4, count), new Uint8Array(count).fill(random.pick([0x00, 0x80, 0xa0, 0x60, 0xf6])));
}
