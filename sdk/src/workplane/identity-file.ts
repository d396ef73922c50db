/**
 * A replica's keys and admission, kept in its pod's private folder: after a restart in place, also of the whole machine,
 * it is the same replica, and needs nobody to admit it again. The folder goes with the pod; nothing leaves it.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { createNodeKeys, NODE_SEED_BYTES, type NodeKeys } from '../identity/index.ts';
import { decodeRecord, encodeRecord, envelopeSchema, exactBytesSchema, ulidSchema } from '../wire/index.ts';

const FILE = 'replica';

const schema = v.strictObject({
	award: ulidSchema,
	seed: exactBytesSchema(NODE_SEED_BYTES),
	csr: v.optional(envelopeSchema),
	cert: v.optional(envelopeSchema),
});
type Kept = v.InferOutput<typeof schema>;

export interface ReplicaIdentity {
	readonly keys: NodeKeys;
	/** From an admission before a restart in place. */
	readonly cert: Uint8Array | undefined;
	/** The one request for admission that these keys ever make: whoever awarded the slot answers no second one. */
	request(make: () => Uint8Array): Promise<Uint8Array>;
	/** Keeps the certificate for the next start. */
	admitted(cert: Uint8Array): Promise<void>;
}

/** Of this award, or a new one: an earlier award was another replica. Without a folder it lasts as long as the process. */
export async function openIdentity(folder: string | undefined, award: string): Promise<ReplicaIdentity> {
	const known = folder === undefined ? undefined : await read(join(folder, FILE));
	const isOurs = known?.award === award;
	const keys = createNodeKeys(isOurs ? known.seed : undefined);
	let kept: Kept = isOurs ? known : { award, seed: keys.seed };
	const keep = async (change: Partial<Kept>): Promise<void> => {
		kept = { ...kept, ...change };
		if (folder !== undefined) await write(join(folder, FILE), kept);
	};
	return {
		keys,
		cert: kept.cert,
		async request(make) {
			// On disk before it is sent, with its keys: an answer to keys that are lost is of no use.
			if (kept.csr === undefined) await keep({ csr: make() });
			return kept.csr as Uint8Array;
		},
		admitted: (cert) => keep({ cert }),
	};
}

/** Undefined when there is none, or it is damaged: then this is a new replica. */
async function read(path: string): Promise<Kept | undefined> {
	try {
		return v.parse(schema, decodeRecord(new Uint8Array(await readFile(path))));
	} catch {
		return undefined;
	}
}

async function write(path: string, identity: Kept): Promise<void> {
	const fresh = `${path}.${process.pid}`;
	try {
		await writeFile(fresh, encodeRecord(identity), { mode: 0o600, flush: true });
		await rename(fresh, path);
	} catch (error) {
		await rm(fresh, { force: true });
		throw error;
	}
}
