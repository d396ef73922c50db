/**
 * How a secret on disk is protected: sealed under a passphrase (scrypt, ChaCha20-Poly1305), or by the file's mode alone.
 * The rest of the file is bound to the secret: whoever changes a byte of it makes the secret unreadable.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { MeshError } from '@beemesh/sdk/errors';
import { encodeRecord } from '@beemesh/sdk/wire';
import * as v from 'valibot';

/** 128 MiB and about half a second for each guess. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const derive = promisify<string, Uint8Array, number, object, Buffer>(scrypt);
const base64 = v.pipe(v.string(), v.maxLength(256 * 1024), v.regex(/^[A-Za-z0-9_-]+$/));

/** What of the file says how to open it, and the secret. Costs are fixed: a file cannot ask for more. */
export const protectedSchema = v.variant('kdf', [
	v.strictObject({
		kdf: v.literal('scrypt'),
		N: v.literal(SCRYPT.N),
		r: v.literal(SCRYPT.r),
		p: v.literal(SCRYPT.p),
		salt: base64,
		nonce: base64,
		sealed: base64,
	}),
	v.strictObject({ kdf: v.literal('none'), secret: base64 }),
]);
export type Protected = v.InferOutput<typeof protectedSchema>;

/** Opens and seals again without asking twice. */
export type Protection =
	| { readonly kdf: 'none' }
	| { readonly kdf: 'scrypt'; readonly salt: Uint8Array; readonly key: Uint8Array };

/** `passphrase` undefined: none. */
export async function newProtection(passphrase: string | undefined): Promise<Protection> {
	if (passphrase === undefined) return { kdf: 'none' };
	const salt = randomBytes(SALT_BYTES);
	return { kdf: 'scrypt', salt, key: await keyOf(passphrase, salt) };
}

/** `head`: the rest of the file, as plain data. */
export function protect(protection: Protection, head: object, secret: Uint8Array): Protected {
	if (protection.kdf === 'none') return { kdf: 'none', secret: encode(secret) };
	const nonce = randomBytes(NONCE_BYTES);
	const salt = encode(protection.salt);
	const how = { kdf: 'scrypt' as const, ...SCRYPT, salt, nonce: encode(nonce) };
	const cipher = createCipheriv('chacha20-poly1305', protection.key, nonce, { authTagLength: TAG_BYTES });
	cipher.setAAD(encodeRecord({ ...head, ...how }), { plaintextLength: secret.byteLength });
	const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
	return { ...how, sealed: encode(sealed) };
}

/** Throws `unauthorized` for another passphrase, and for a file that was changed: the two cannot be told apart. */
export async function unprotect(
	found: Protected,
	head: object,
	passphrase: () => Promise<string>,
	file: string,
): Promise<{ readonly secret: Uint8Array; readonly protection: Protection }> {
	if (found.kdf === 'none') return { secret: decode(found.secret), protection: { kdf: 'none' } };
	const { sealed, ...how } = found;
	const [salt, nonce, bytes] = [decode(how.salt), decode(how.nonce), decode(sealed)];
	const key = await keyOf(await passphrase(), salt);
	try {
		const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
		decipher.setAAD(encodeRecord({ ...head, ...how }), { plaintextLength: bytes.byteLength - TAG_BYTES });
		decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
		const secret = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
		return { secret: new Uint8Array(secret), protection: { kdf: 'scrypt', salt, key } };
	} catch (cause) {
		throw new MeshError('unauthorized', `wrong passphrase for ${file}, or the file has been changed`, { cause });
	}
}

function keyOf(passphrase: string, salt: Uint8Array): Promise<Uint8Array> {
	// One passphrase has one form, whatever keyboard it was typed on.
	return derive(passphrase.normalize('NFKC'), salt, KEY_BYTES, { ...SCRYPT, maxmem: 256 * 1024 * 1024 });
}

function encode(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('base64url');
}

function decode(text: string): Uint8Array {
	return new Uint8Array(Buffer.from(text, 'base64url'));
}
