/** What the campaign asks of a decoder under test, and what a decoder may answer. */
import { isMeshError, type MeshCode } from '../../../sdk/src/errors.ts';

/** How its input is altered with its structure in mind; all of them are also altered byte by byte. */
export type Form = 'cbor' | 'msgpack' | 'json' | 'bytes';

export interface Target {
	readonly name: string;
	/** Share of the cases, relative to the others'. */
	readonly weight: number;
	readonly form: Form;
	/** Valid inputs. */
	readonly samples: readonly Uint8Array[];
	/** Whether this refusal is one that its documentation names. */
	refuses(error: unknown): boolean;
	/** Hands bytes to the decoder as whoever receives them does. Throws a refusal. */
	accept(bytes: Uint8Array): Accepted | Promise<Accepted>;
}

/** What an accepted input came to. */
export interface Accepted {
	/** Signed or sealed parts that it was believed for: each must be one of the corpus, byte by byte. */
	readonly proved?: readonly Uint8Array[];
	/** The same value, encoded again: must be the input itself. */
	readonly canonical?: Uint8Array;
	/** Encodes what bytes decode to: must come to an end with the first time. */
	readonly again?: (bytes: Uint8Array) => Uint8Array;
}

export const MADE_OF_NOTHING: Accepted = {};

/** Refusals by `MeshError`s of these codes. */
export const codes =
	(...allowed: readonly MeshCode[]) =>
	(error: unknown): boolean =>
		isMeshError(error) && allowed.includes(error.code);

/** Of records and what is made of them: no such thing, or not by whoever may say it. */
export const recordCodes = codes('invalid_input', 'unauthorized');
