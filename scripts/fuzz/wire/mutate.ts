/** Alterations of bytes that know nothing of their meaning, and of values whatever they are encoded in. */

import { concat } from '../../../sdk/src/wire/bytes.ts';
import type { CaseRandom } from '../random.ts';

const EDGE_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff] as const;
const NOTHING = new Uint8Array(0);

/** `donors`: other valid inputs, to be spliced in. */
export function mutateBytes(random: CaseRandom, bytes: Uint8Array, donors: readonly Uint8Array[]): Uint8Array {
	const length = bytes.byteLength;
	if (length === 0) return random.bytes(1 + random.below(16));
	const at = placeIn(random, length);
	const span = 1 + random.below(random.chance(80) ? 8 : length);
	switch (random.below(12)) {
		case 0:
		case 1:
			return changed(bytes, at, [(bytes[at] as number) ^ (1 << random.below(8))]);
		case 2:
			return changed(bytes, at, [random.pick(EDGE_BYTES)]);
		case 3:
			return changed(bytes, at, [(bytes[at] as number) + (random.chance(50) ? 1 : -1)]);
		case 4:
			// A length or a number of two, four or eight bytes.
			return changed(bytes, at, new Array<number>(random.pick([2, 4, 8])).fill(random.pick(EDGE_BYTES)));
		case 5:
			return bytes.slice(0, at);
		case 6:
			return concat(bytes, random.bytes(1 + random.below(16)));
		case 7:
			return concat(bytes.subarray(0, at), bytes.subarray(at + span));
		case 8:
			return concat(bytes.subarray(0, at + span), bytes.subarray(at));
		case 9:
			return concat(bytes.subarray(0, at), random.bytes(random.chance(95) ? span : 4096), bytes.subarray(at));
		case 10: {
			const donor = donors[random.below(donors.length)] ?? NOTHING;
			const from = donor.byteLength === 0 ? 0 : placeIn(random, donor.byteLength);
			return concat(bytes.subarray(0, at), donor.subarray(from));
		}
		default:
			return changed(bytes, at, random.bytes(Math.min(span, 64)));
	}
}

/** Mostly near an end, where versions, types and lengths are, and not in the middle of a key. */
function placeIn(random: CaseRandom, length: number): number {
	const kind = random.below(4);
	if (kind === 0) return random.below(Math.min(length, 64));
	if (kind === 1) return length - 1 - random.below(Math.min(length, 64));
	return random.below(length);
}

function changed(bytes: Uint8Array, at: number, by: ArrayLike<number>): Uint8Array {
	const copy = bytes.slice();
	for (let i = 0; i < by.length && at + i < copy.byteLength; i++) copy[at + i] = by[i] as number;
	return copy;
}

/** Names that objects and their users have other uses for. */
export const HOSTILE_NAMES = ['__proto__', 'constructor', 'toString', 'then', 'toJSON', '', ' ', 'é', 'key\0'] as const;

const ODD_VALUES = [
	null,
	undefined,
	true,
	0,
	-0,
	-1,
	1.5,
	2 ** 31,
	2 ** 32,
	2 ** 53 - 1,
	2 ** 53,
	1e308,
	Number.NaN,
	Number.POSITIVE_INFINITY,
	'',
	'x',
	'__proto__',
	'a\0b',
	'\u202egnp',
	'1e999',
	'ａ',
	'x'.repeat(70_000),
	[],
	{},
	[[]],
	new Uint8Array(0),
	new Uint8Array(70_000),
	new Array(2_000).fill(0),
] as const;

interface Place {
	readonly value: unknown;
	readonly set: (by: unknown) => void;
	readonly remove: () => void;
}

/** A copy of plain data with something in it removed, added, repeated, of another type, out of range, or deeply nested. */
export function mutateValue(random: CaseRandom, original: unknown, donors: readonly unknown[]): unknown {
	const holder = { root: structuredClone(original) };
	const places: Place[] = [];
	collect(holder, places);
	const { value, set, remove } = places[random.below(places.length)] as Place;
	switch (random.below(9)) {
		case 0:
			remove();
			break;
		case 1:
		case 2:
			set(random.pick(ODD_VALUES));
			break;
		case 3:
			if (Array.isArray(value)) value.push(...value.slice(0, 100));
			else if (isObject(value)) define(value, random.pick(HOSTILE_NAMES), random.pick(ODD_VALUES));
			else set([value]);
			break;
		case 4: {
			let nested: unknown = value;
			for (let depth = random.chance(90) ? 1 + random.below(40) : 600; depth > 0; depth--)
				nested = random.chance(50) ? [nested] : { x: nested };
			set(nested);
			break;
		}
		case 5: {
			const found: Place[] = [];
			collect({ root: donors[random.below(donors.length)] }, found);
			set(structuredClone(found[random.below(found.length)]?.value));
			break;
		}
		case 6:
			if (typeof value === 'string') set(mutateText(random, value));
			else if (value instanceof Uint8Array) set(mutateBytes(random, value, []));
			else if (typeof value === 'number')
				set(random.pick([value + 1, value - 1, -value, value * 2 ** 32, value + 0.5]));
			else set(String(value));
			break;
		case 7:
			if (Array.isArray(value)) value.reverse();
			else if (typeof value === 'number') set(String(value));
			else if (typeof value === 'string') set(new TextEncoder().encode(value));
			else set(typeof value === 'boolean' ? !value : [value, value]);
			break;
		default:
			if (isObject(value)) {
				const [first] = Object.keys(value);
				if (first !== undefined) {
					define(value, random.pick(HOSTILE_NAMES), value[first]);
					delete value[first];
				}
			} else set({ value });
	}
	return holder.root;
}

function mutateText(random: CaseRandom, text: string): string {
	const at = random.below(text.length + 1);
	const put = random.pick(['\0', '\n', '/', '..', ' ', 'İ', '\u200b', '\ud800', '-', 'A', '0']);
	if (random.chance(20)) return text.toUpperCase();
	return text.slice(0, at) + put + text.slice(at + random.below(2));
}

function collect(holder: object, places: Place[]): void {
	for (const [key, value] of Object.entries(holder)) {
		const target = holder as Record<string, unknown>;
		places.push({
			value,
			set: (by) => define(target, key, by),
			remove: () => {
				if (Array.isArray(target)) target.splice(Number(key), 1);
				else delete target[key];
			},
		});
		if (Array.isArray(value) ? value.length < 200 : isObject(value)) collect(value as object, places);
	}
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !Array.isArray(value);
}

/** As a field of its own, also where assigning would mean something else. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
	Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
