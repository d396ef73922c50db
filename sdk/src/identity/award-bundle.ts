/**
 * A workload's bundle on its way to the machine that was awarded one of its slots: sealed to that machine's key, so that
 * the host which placed it carries what it cannot read; and bound to the award, so that it is of no use under another.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	type Bundle,
	bundleSchema,
	decodeRecord,
	encodeRecord,
	SEALED_BUNDLE_BYTES_MAX,
	ulidSchema,
} from '../wire/index.ts';
import { type KemKeyPair, sealTo } from './keys.ts';
import type { OpenedMachine } from './machine.ts';

const PURPOSE = 'award-bundle';
const schema = v.strictObject({ awardId: ulidSchema, bundle: bundleSchema });

/** Seals a bundle for the winner of this award. */
export function sealBundle(bundle: Bundle, awardId: string, { cert }: OpenedMachine): Uint8Array {
	return sealTo(cert.kemKey, PURPOSE, encodeRecord({ awardId, bundle }));
}

/** Opens it at the winner. Throws `unauthorized` when it is for another machine or another award. */
export function openSealedBundle(sealed: Uint8Array, awardId: string, kem: KemKeyPair): Bundle {
	const parsed = v.safeParse(schema, decodeRecord(kem.open(PURPOSE, sealed), SEALED_BUNDLE_BYTES_MAX));
	if (!parsed.success) throw new MeshError('invalid_input', 'what was delivered for the award is no bundle');
	if (parsed.output.awardId !== awardId) throw new MeshError('unauthorized', 'what was delivered is for another award');
	return parsed.output.bundle;
}
