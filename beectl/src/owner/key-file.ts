/** The owner's keys on disk. Its public record is in the clear, so that nobody needs the passphrase to be shown it. */
import { MeshError } from '@beemesh/sdk/errors';
import { type OpenedRecord, openOwnerRoot, sameBytes } from '@beemesh/sdk/identity';
import { decodeRecord, encodeRecord, exactBytesSchema, KEY_BYTES } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import type { Passphrases } from '../secrets/passphrase.ts';
import { createPrivateFile, type FileWords, readPrivateFile } from '../secrets/private-file.ts';
import { newProtection } from '../secrets/protection.ts';
import { parseSecretFile, type SecretFileType, secretFileText } from '../secrets/secret-file.ts';
import { createOwner, createOwnerKeys, type Owner } from './owner.ts';

const WORDS: FileWords = {
	what: 'the owner key',
	option: '--owner',
	missing: 'make one with `beectl owner create`',
};

const publicSchema = v.strictObject({
	/** For people; the record below is what counts. */
	owner: v.string(),
	/** Envelope of the owner's public record. */
	root: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+$/)),
});

export const OWNER_FILE: SecretFileType<v.InferOutput<typeof publicSchema>> = {
	v: 2,
	type: 'beemesh-owner',
	publicSchema,
	what: 'an owner key',
	outdated: 'its signatures are no longer accepted; make a new one with `beectl owner create --owner FILE`',
};

const secretSchema = v.strictObject({
	seed: exactBytesSchema(KEY_BYTES.seed),
	kemSeed: exactBytesSchema(KEY_BYTES.kemSeed),
});

/** Makes new keys. Never replaces any: what they own would be lost. `passphrase` undefined: none. */
export async function createOwnerKey(file: string, passphrase: string | undefined, nowMs: number): Promise<Owner> {
	const owner = createOwner(nowMs);
	const { body, envelope } = owner.root;
	const publicPart = { owner: body.owner, root: Buffer.from(envelope).toString('base64url') };
	const secret = encodeRecord({ seed: owner.signer.seed, kemSeed: owner.kem.seed });
	const text = secretFileText(OWNER_FILE, publicPart, secret, await newProtection(passphrase));
	await createPrivateFile(file, text, WORDS);
	return owner;
}

/** The public record; nobody is asked for a passphrase. */
export async function readOwnerRoot(file: string): Promise<OpenedRecord<'owner-root'>> {
	return (await readParsed(file)).root;
}

/** Throws `not_found` (no key yet), `unauthorized` (others can read it, wrong passphrase) or `invalid_input` (not a key). */
export async function readOwnerKey(file: string, passphrases: Passphrases): Promise<Owner> {
	const { parsed, root } = await readParsed(file);
	const { secret } = await parsed.open(() => passphrases.forExisting(`the owner key ${file}`));
	const seeds = v.safeParse(secretSchema, decodeRecord(secret));
	if (!seeds.success) throw new MeshError('invalid_input', `${file} is an owner key, but a damaged one`);
	const keys = createOwnerKeys(seeds.output.seed, seeds.output.kemSeed);
	if (!sameBytes(keys.signer.publicKey, root.body.sigKey) || !sameBytes(keys.kem.publicKey, root.body.kemKey))
		throw new MeshError('unauthorized', `${file}: its secret keys do not belong to its public record`);
	return { ...keys, root };
}

async function readParsed(file: string) {
	const parsed = parseSecretFile(OWNER_FILE, await readPrivateFile(file, WORDS), file);
	const root = openOwnerRoot(Buffer.from(parsed.publicPart.root, 'base64url'));
	if (root.body.owner !== parsed.publicPart.owner)
		throw new MeshError('unauthorized', `${file}: its owner ID is not that of its public record`);
	return { parsed, root };
}
