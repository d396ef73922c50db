/**
 * Values as msgpack, as they stand in frame bodies. Carries null, undefined, booleans, numbers, 64-bit bigints,
 * strings, bytes, dates, arrays and plain objects. Bytes from a peer are walked before they are decoded: a decoder
 * that believes a length prefix allocates whatever a peer asks for, and one that recurses follows any nesting.
 */
import { Packr } from 'msgpackr/pack';
import { MeshError } from '../../errors.ts';

const DEPTH_MAX = 64;
/** In one body. Each costs many times the byte that it takes on the wire. */
const VALUES_MAX = 262_144;

const packr = new Packr({ useRecords: false, mapsAsObjects: true, copyBuffers: true });

export function encodeBody(value: unknown): Uint8Array {
	return packr.pack(value);
}

/** Throws `invalid_input` for anything that is not one complete msgpack value of the kinds above. */
export function decodeBody(bytes: Uint8Array): unknown {
	checkBody(bytes);
	try {
		// A plain view, because msgpackr hands out byte strings of the class of its input.
		return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
	} catch (cause) {
		throw new MeshError('invalid_input', 'body is not msgpack', { cause });
	}
}

function refuse(why: string): never {
	throw new MeshError('invalid_input', `body is not acceptable msgpack: ${why}`);
}

/**
 * Walks the structure without building anything: every length fits the bytes that are left (so that allocations stay
 * proportional to what was received), nesting and the number of values are bounded, only the two extension types we write occur, nothing trails.
 */
export function checkBody(bytes: Uint8Array): void {
	const end = bytes.byteLength;
	// Values still to come at each open level; containers push, finished levels pop.
	const open: number[] = [1];
	let at = 0;
	let count = 0;
	const length = (size: 1 | 2 | 4): number => {
		if (at + size > end) refuse('cut short');
		let value = 0;
		for (let i = 0; i < size; i++) value = value * 256 + (bytes[at++] as number);
		return value;
	};
	const skip = (count: number): void => {
		at += count;
		if (at > end) refuse('cut short');
	};
	const enter = (values: number): void => {
		// Each value takes at least one byte, so a longer container cannot be complete.
		if (values > end - at) refuse('a container is longer than the body');
		count += values;
		if (count > VALUES_MAX) refuse(`more than ${VALUES_MAX} values`);
		if (open.length > DEPTH_MAX) refuse(`nested deeper than ${DEPTH_MAX}`);
		if (values > 0) open.push(values);
	};
	while (open.length > 0) {
		const last = open.length - 1;
		const left = open[last] as number;
		if (left === 0) {
			open.pop();
			continue;
		}
		open[last] = left - 1;
		if (at >= end) refuse('cut short');
		const token = bytes[at++] as number;
		if (token < 0x80 || token >= 0xe0) continue;
		if (token < 0x90) enter((token & 0x0f) * 2);
		else if (token < 0xa0) enter(token & 0x0f);
		else if (token < 0xc0) skip(token & 0x1f);
		else {
			switch (token) {
				case 0xc0:
				case 0xc2:
				case 0xc3:
					break;
				case 0xc4:
				case 0xd9:
					skip(length(1));
					break;
				case 0xc5:
				case 0xda:
					skip(length(2));
					break;
				case 0xc6:
				case 0xdb:
					skip(length(4));
					break;
				case 0xcc:
				case 0xd0:
					skip(1);
					break;
				case 0xcd:
				case 0xd1:
					skip(2);
					break;
				case 0xca:
				case 0xce:
				case 0xd2:
					skip(4);
					break;
				case 0xcb:
				case 0xcf:
				case 0xd3:
					skip(8);
					break;
				case 0xd4:
					// Extension 0 with data 0 is how msgpackr writes undefined.
					if (length(1) !== 0 || length(1) !== 0) refuse('unknown extension');
					break;
				case 0xd6:
					timestamp(length(1), 4);
					break;
				case 0xd7:
					timestamp(length(1), 8);
					break;
				case 0xc7: {
					const size = length(1);
					if (size !== 12) refuse('unknown extension');
					timestamp(length(1), 12);
					break;
				}
				case 0xdc:
					enter(length(2));
					break;
				case 0xdd:
					enter(length(4));
					break;
				case 0xde:
					enter(length(2) * 2);
					break;
				case 0xdf:
					enter(length(4) * 2);
					break;
				default:
					refuse('unknown type');
			}
		}
	}
	if (at !== end) refuse('bytes after the value');

	function timestamp(type: number, size: number): void {
		if (type !== 0xff) refuse('unknown extension');
		skip(size);
	}
}
