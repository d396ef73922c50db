/** A secret file's text: JSON with its version and type, a public part that anyone may read, and the protected secret. */
import { MeshError } from '@beemesh/sdk/errors';
import * as v from 'valibot';
import { type Protected, type Protection, protect, protectedSchema, unprotect } from './protection.ts';

/** One kind of secret file. */
export interface SecretFileType<P> {
	readonly v: number;
	readonly type: string;
	readonly publicSchema: v.GenericSchema<unknown, P>;
	/** `an owner key`. */
	readonly what: string;
	/** What to do about a file of an older version. */
	readonly outdated: string;
}

export interface ParsedSecretFile<P> {
	readonly publicPart: P;
	readonly isSealed: boolean;
	/** `passphrase` is asked for only where there is one. */
	open(passphrase: () => Promise<string>): Promise<{ readonly secret: Uint8Array; readonly protection: Protection }>;
}

export function secretFileText<P extends object>(
	type: SecretFileType<P>,
	publicPart: P,
	secret: Uint8Array,
	protection: Protection,
): string {
	const head = { v: type.v, type: type.type, public: publicPart };
	return `${JSON.stringify({ ...head, ...protect(protection, head, secret) }, undefined, '\t')}\n`;
}

/** Reads the public part, without the passphrase. Throws `invalid_input`. */
export function parseSecretFile<P>(type: SecretFileType<P>, text: string, file: string): ParsedSecretFile<P> {
	const json = parseJson(text);
	const known = v.safeParse(v.object({ v: v.number(), type: v.literal(type.type) }), json);
	if (!known.success) throw new MeshError('invalid_input', `${file} is not ${type.what} as beectl makes it`);
	if (known.output.v !== type.v) {
		const why = known.output.v < type.v ? type.outdated : 'it was made by a newer beectl; use that one';
		throw new MeshError('invalid_input', `${file} is ${type.what} of version ${known.output.v}: ${why}`);
	}
	const { v: version, type: typeName, public: publicPart, ...rest } = json as Record<string, unknown>;
	const parsed = v.safeParse(type.publicSchema, publicPart);
	const found = v.safeParse(protectedSchema, rest);
	if (!parsed.success || !found.success) {
		const [issue] = parsed.issues ?? found.issues ?? [];
		throw new MeshError(
			'invalid_input',
			`${file} is ${type.what}, but a damaged one: ${issue?.message ?? 'wrong shape'}`,
		);
	}
	const head = { v: version, type: typeName, public: publicPart };
	const how: Protected = found.output;
	return {
		publicPart: parsed.output,
		isSealed: how.kdf !== 'none',
		open: (passphrase) => unprotect(how, head, passphrase, file),
	};
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
