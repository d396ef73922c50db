/**
 * kv-store's typed contract, for other workloads of the mesh: `wp.client(KvContract, { workload: 'kv-store' })`.
 * The same operations as over HTTP, with values as bytes and failures as coded errors.
 */
import { contract, rpc } from '@beemesh/sdk';
import * as v from 'valibot';
import { LIMITS } from './limits.ts';

const keySchema = v.pipe(v.string(), v.minLength(1, 'a key is at least one byte'), v.maxBytes(LIMITS.keyBytesMax));
const prefixSchema = v.pipe(v.string(), v.maxBytes(LIMITS.keyBytesMax));
const revSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const bytesSchema = v.custom<Uint8Array>((input) => input instanceof Uint8Array, 'a value is bytes');
const valueSchema = v.pipe(
	bytesSchema,
	v.check((value) => value.byteLength <= LIMITS.valueBytesMax, `a value is at most ${LIMITS.valueBytesMax} bytes`),
);
const staleSchema = v.exactOptional(v.boolean());
/** Only if the key is at this revision now; 0: only if there is no such key. */
const ifRevSchema = v.exactOptional(revSchema);

const entrySchema = v.strictObject({ key: v.string(), value: bytesSchema, rev: revSchema });
/** A change; without a value the key was deleted. */
const changeSchema = v.strictObject({ key: v.string(), value: v.exactOptional(bytesSchema), rev: revSchema });

const statusSchema = v.strictObject({
	self: v.strictObject({ id: v.number(), replica: v.string(), name: v.string() }),
	role: v.picklist(['leader', 'follower', 'candidate', 'learner']),
	term: v.number(),
	leader: v.exactOptional(v.number()),
	commitIndex: v.number(),
	hasQuorum: v.boolean(),
	diskFull: v.exactOptional(v.boolean()),
	members: v.array(
		v.strictObject({ id: v.number(), name: v.string(), voter: v.boolean(), replica: v.exactOptional(v.string()) }),
	),
});

export type KvEntry = v.InferOutput<typeof entrySchema>;
export type KvChange = v.InferOutput<typeof changeSchema>;
export type KvStatus = v.InferOutput<typeof statusSchema>;

export const KvContract = contract('kv-store', '1.0.0', {
	/** `entry` is absent when there is no such key. */
	get: rpc({
		input: v.strictObject({ key: keySchema, stale: staleSchema }),
		output: v.strictObject({ entry: v.exactOptional(entrySchema) }),
		idempotent: true,
	}),
	put: rpc({
		input: v.strictObject({ key: keySchema, value: valueSchema, ifRev: ifRevSchema }),
		output: v.strictObject({ rev: revSchema }),
	}),
	/** `rev` is absent when there was no such key. */
	delete: rpc({
		input: v.strictObject({ key: keySchema, ifRev: ifRevSchema }),
		output: v.strictObject({ rev: v.exactOptional(revSchema) }),
	}),
	list: rpc({
		input: v.strictObject({
			prefix: prefixSchema,
			after: v.exactOptional(keySchema),
			limit: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LIMITS.listItemsMax))),
			stale: staleSchema,
		}),
		output: v.strictObject({ items: v.array(entrySchema), rev: revSchema, next: v.exactOptional(v.string()) }),
		idempotent: true,
	}),
	/** Changes in order, from revision `from` on, or only new ones. The first item is empty: it says that we listen. */
	watch: rpc.stream({
		input: v.strictObject({ prefix: prefixSchema, from: v.exactOptional(revSchema) }),
		output: v.strictObject({ change: v.exactOptional(changeSchema) }),
	}),
	/** Of the replica that answers, without asking the others. */
	status: rpc({ input: v.strictObject({}), output: statusSchema, idempotent: true }),
});
