/**
 * A replica's keys and admission, kept in its pod's private folder: after a restart in place, also of the whole machine,
 * it is the same replica, and needs nobody to admit it again. The folder goes with the pod; nothing leaves it.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { createNodeKeys, NODE_SEED_BYTES, type NodeKeys } from '../identity/index.ts';
import {
	bytesSchema,
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	exactBytesSchema,
	LIMITS,
	ulidSchema,
} from '../wire/index.ts';

const FILE = 'replica';

const keptSchema = v.strictObject({
	award: ulidSchema,
	seed: exactBytesSchema(NODE_SEED_BYTES),
	request: v.optional(v.strictObject({ csr: envelopeSchema, cert: envelopeSchema })),
	/** The answer, sealed to these keys as it came. */
	admission: v.optional(bytesSchema(LIMITS.admissionBytesMax)),
});
export type KeptIdentity = v.InferOutput<typeof keptSchema>;
export type AdmissionRequest = NonNullable<KeptIdentity['request']>;

/** What the file holds. Throws for anything else. */
export function decodeKept(bytes: Uint8Array): KeptIdentity {
	return v.parse(keptSchema, decodeRecord(bytes, 2 * LIMITS.admissionBytesMax));
}

/** Where it is kept. */
export interface IdentityStore {
	read(): Promise<KeptIdentity | undefined>;
	write(kept: KeptIdentity): Promise<void>;
}

export interface ReplicaIdentity {
	readonly keys: NodeKeys;
	/** Of an admission before a restart in place. */
	readonly admission: Uint8Array | undefined;
	/** The one request for admission that these keys ever make: whoever awarded the slot answers no second one. */
	request(make: () => AdmissionRequest): Promise<AdmissionRequest>;
	/** Keeps the answer for the next start. */
	admitted(admission: Uint8Array): Promise<void>;
}

/** Of this award, or a new one: an earlier award was another replica. */
export async function openIdentity(store: IdentityStore, award: string): Promise<ReplicaIdentity> {
	const known = await store.read();
	const isOurs = known?.award === award;
	const keys = createNodeKeys(isOurs ? known.seed : undefined);
	let kept: KeptIdentity = isOurs ? known : { award, seed: keys.seed };
	let writing: Promise<void> = Promise.resolve();
	const keep = (change: Partial<KeptIdentity>): Promise<void> => {
		kept = { ...kept, ...change };
		writing = writing.catch(() => undefined).then(() => store.write(kept));
		return writing;
	};
	return {
		keys,
		admission: kept.admission,
		async request(make) {
			const request = kept.request ?? make();
			// On disk before it is sent, with its keys: an answer to keys that are lost is of no use.
			if (kept.request === undefined) await keep({ request });
			return request;
		},
		admitted: (admission) => keep({ admission }),
	};
}

/** Lasts as long as the process, for those that nobody restarts in place; and for tests, as long as `media`. */
export function memoryIdentity(media: { kept?: KeptIdentity } = {}): IdentityStore {
	return {
		read: async () => media.kept,
		async write(kept) {
			media.kept = kept;
		},
	};
}

export function fileIdentity(folder: string): IdentityStore {
	const path = join(folder, FILE);
	return {
		/** Undefined when there is none, or it is damaged: then this is a new replica. */
		async read() {
			try {
				return decodeKept(new Uint8Array(await readFile(path)));
			} catch {
				return undefined;
			}
		},
		async write(kept) {
			const fresh = `${path}.${process.pid}`;
			try {
				await writeFile(fresh, encodeRecord(kept), { mode: 0o600, flush: true });
				await rename(fresh, path);
			} catch (error) {
				await rm(fresh, { force: true });
				throw error;
			}
		},
	};
}
