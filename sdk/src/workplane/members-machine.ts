/**
 * The replicated truth of a stateful workload: which generation holds each slot. A replacement is admitted by a
 * majority of this, so that a minority admits nobody, and every Raft group of the workload takes its members from here.
 */
import * as v from 'valibot';
import { isMeshError } from '../errors.ts';
import { peekRecord } from '../identity/index.ts';
import type { Machine } from '../raft/group.types.ts';
import {
	bytesSchema,
	decodeRecord,
	type EpochRecord,
	epochLinkSchema,
	genSchema,
	LIMITS,
	machineIdSchema,
	replicaIdSchema,
	slotSchema,
} from '../wire/index.ts';

/** DAG-CBOR of an epoch and the certificates that are new in it. */
const linkSchema = v.optional(bytesSchema(LIMITS.epochBytesMax));
const holderSchema = v.strictObject({ slot: slotSchema, gen: genSchema });

export const membersCommandSchema = v.variant('type', [
	/** The first members; counts only while there are none. */
	v.strictObject({ type: v.literal('found'), holders: v.array(holderSchema) }),
	v.strictObject({
		type: v.literal('admit'),
		slot: slotSchema,
		gen: genSchema,
		replicaId: replicaIdSchema,
		machineId: machineIdSchema,
		/** The epoch that names it. Absent in `dev` mode, where the owner admits. */
		link: linkSchema,
	}),
	/** The workload was scaled down: the slot has no holder any more. */
	v.strictObject({ type: v.literal('retire'), slot: slotSchema, gen: genSchema, link: linkSchema }),
	/** An epoch that changes no holder: a renewed certificate, or the owner's word that all is well. */
	v.strictObject({ type: v.literal('epoch'), link: linkSchema }),
]);
export type MembersCommand = v.InferOutput<typeof membersCommandSchema>;

export interface SlotHolder {
	readonly gen: number;
	/** Who was admitted; empty for a founder. */
	readonly replicaId: string;
	readonly isRetired: boolean;
}

export interface MembersState {
	readonly slots: Map<number, SlotHolder>;
	/** The newest epoch that was agreed on: who has missed the proposer's own word finds it here. */
	readonly link?: Uint8Array | undefined;
}

/** Of two epochs that follow the same one the first that is agreed on holds, whoever signed the other. */
function isLater(link: Uint8Array | undefined, last: Uint8Array | undefined): boolean {
	if (link === undefined) return true;
	const [next, before] = [epochOf(link), epochOf(last)];
	if (next === undefined || before === undefined) return next !== undefined;
	return next.era > before.era || (next.era === before.era && next.e > before.e);
}

/** Undefined for what is no epoch: whatever is in the log, everybody must come to the same state. */
function epochOf(link: Uint8Array | undefined): EpochRecord | undefined {
	if (link === undefined) return undefined;
	try {
		const parsed = v.safeParse(epochLinkSchema, decodeRecord(link, LIMITS.epochBytesMax));
		return parsed.success ? peekRecord('epoch', parsed.output.epoch).body : undefined;
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return undefined;
	}
}

export interface MembersResult {
	readonly ok: boolean;
	/** The generation that holds the slot now; 0 for none. */
	readonly gen: number;
}

export type MembersMachine = Machine<MembersState, typeof membersCommandSchema, MembersResult>;

export const membersMachine: MembersMachine = {
	command: membersCommandSchema,
	init: () => ({ slots: new Map() }),
	apply(state, command) {
		const { slots } = state;
		const link = command.type === 'found' ? undefined : command.link;
		if (!isLater(link, state.link)) return { ok: false, gen: 0 };
		if (command.type === 'epoch') {
			Object.assign(state, { link });
			return { ok: true, gen: 0 };
		}
		if (command.type === 'found') {
			if (slots.size > 0) return { ok: false, gen: 0 };
			for (const { slot, gen } of command.holders) slots.set(slot, { gen, replicaId: '', isRetired: false });
			return { ok: true, gen: 1 };
		}
		const { slot, gen } = command;
		const holder = slots.get(slot);
		const held = holder?.gen ?? 0;
		if (command.type === 'retire') {
			if (holder === undefined || held !== gen) return { ok: false, gen: held };
			// Kept, so that the slot's next holder gets a generation of its own.
			slots.set(slot, { ...holder, isRetired: true });
			if (link !== undefined) Object.assign(state, { link });
			return { ok: true, gen };
		}
		const isRepeated = held === gen && holder?.replicaId === command.replicaId;
		if (gen > held) {
			slots.set(slot, { gen, replicaId: command.replicaId, isRetired: false });
			if (link !== undefined) Object.assign(state, { link });
		}
		return { ok: gen > held || isRepeated, gen: Math.max(gen, held) };
	},
	snapshot: ({ slots, link }) =>
		new TextEncoder().encode(
			JSON.stringify({ slots: [...slots], link: link === undefined ? '' : Buffer.from(link).toString('base64') }),
		),
	async restore(bytes) {
		const decoder = new TextDecoder();
		let text = '';
		for await (const chunk of bytes) text += decoder.decode(chunk, { stream: true });
		const { slots, link } = JSON.parse(text + decoder.decode()) as { slots: [number, SlotHolder][]; link: string };
		return { slots: new Map(slots), link: link === '' ? undefined : new Uint8Array(Buffer.from(link, 'base64')) };
	},
};
