/**
 * A membership change as the payload of a log entry. An empty payload is the change that leaves the joint state, so
 * that leaving never fails on a limit in bytes.
 *
 * Layout: transition (1 byte), count (4 bytes), per item kind (1 byte) and id (8 bytes, a float so that ids stay
 * exact to 2^53), then the context. Little-endian.
 */
import { MeshError } from '../../errors.ts';
import type { ConfChange, ConfChangeItem } from './types.ts';

const TRANSITIONS = ['auto', 'joint-implicit', 'joint-explicit'] as const;
const KINDS = ['add-voter', 'add-learner', 'remove'] as const;
const HEAD_BYTES = 5;
const ITEM_BYTES = 9;
const EMPTY = new Uint8Array(0);

/** Leaves the joint state: no changes, no context. */
export const LEAVE_JOINT: ConfChange = Object.freeze({ transition: 'auto', changes: [], context: EMPTY });

export function isLeaveJoint(change: ConfChange): boolean {
	return change.transition === 'auto' && change.changes.length === 0;
}

export function encodeConfChange(change: ConfChange): Uint8Array {
	if (isLeaveJoint(change) && change.context.byteLength === 0) return EMPTY;
	const itemsEnd = HEAD_BYTES + change.changes.length * ITEM_BYTES;
	const bytes = new Uint8Array(itemsEnd + change.context.byteLength);
	const view = new DataView(bytes.buffer);
	view.setUint8(0, TRANSITIONS.indexOf(change.transition));
	view.setUint32(1, change.changes.length, true);
	change.changes.forEach((item, i) => {
		view.setUint8(HEAD_BYTES + i * ITEM_BYTES, KINDS.indexOf(item.type));
		view.setFloat64(HEAD_BYTES + i * ITEM_BYTES + 1, item.id, true);
	});
	bytes.set(change.context, itemsEnd);
	return bytes;
}

/** Errors: `corrupt` for bytes that `encodeConfChange` never wrote. */
export function decodeConfChange(bytes: Uint8Array): ConfChange {
	if (bytes.byteLength === 0) return LEAVE_JOINT;
	if (bytes.byteLength < HEAD_BYTES) throw malformed(bytes);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const transition = TRANSITIONS[view.getUint8(0)];
	const count = view.getUint32(1, true);
	const itemsEnd = HEAD_BYTES + count * ITEM_BYTES;
	if (transition === undefined || itemsEnd > bytes.byteLength) throw malformed(bytes);
	const changes: ConfChangeItem[] = [];
	for (let at = HEAD_BYTES; at < itemsEnd; at += ITEM_BYTES) {
		const type = KINDS[view.getUint8(at)];
		const id = view.getFloat64(at + 1, true);
		if (type === undefined || !Number.isSafeInteger(id) || id < 0) throw malformed(bytes);
		changes.push({ type, id });
	}
	return { transition, changes, context: bytes.subarray(itemsEnd) };
}

function malformed(bytes: Uint8Array): MeshError {
	return new MeshError('corrupt', `A membership change of ${bytes.byteLength} bytes in the Raft log cannot be read`);
}
