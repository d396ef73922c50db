/**
 * What a replica is told when it has been admitted. Only it can open this; who sealed it is not proved, so that each part
 * is checked by what it must agree with: links with the charter, the group key with the newest epoch, the tender secret
 * with the grant. A wrong PSK opens nothing.
 */
import * as v from 'valibot';
import { MeshError } from '../../errors.ts';
import { type AdmissionAnswer, admissionAnswerSchema, decodeRecord, encodeRecord, LIMITS } from '../../wire/index.ts';
import { type KemKeyPair, sealTo } from '../keys.ts';

const PURPOSE = 'workload-admission';
const SEAL_OVERHEAD_BYTES = 1120 + 16;

/** Throws `exhausted` above 4 MiB. Members admit nobody whose answer could be as large. */
export function sealAdmission(answer: AdmissionAnswer, kemKey: Uint8Array): Uint8Array {
	const bytes = encodeRecord(v.parse(admissionAnswerSchema, answer));
	const sealedBytes = bytes.byteLength + SEAL_OVERHEAD_BYTES;
	if (sealedBytes > LIMITS.admissionBytesMax) {
		throw new MeshError(
			'exhausted',
			`the answer to a newcomer has ${sealedBytes} bytes, the limit is ${LIMITS.admissionBytesMax}: it holds ${answer.links.length} epochs; its owner replaces them by one with \`beectl apply\` of the same manifest`,
		);
	}
	return sealTo(kemKey, PURPOSE, bytes);
}

/** Throws `invalid_input` (size, shape) or `unauthorized` (not sealed to this key). */
export function openSealedAdmission(sealed: Uint8Array, kem: KemKeyPair): AdmissionAnswer {
	if (sealed.byteLength > LIMITS.admissionBytesMax)
		throw new MeshError(
			'invalid_input',
			`the answer has ${sealed.byteLength} bytes, the limit is ${LIMITS.admissionBytesMax}`,
		);
	const parsed = v.safeParse(admissionAnswerSchema, decodeRecord(kem.open(PURPOSE, sealed), LIMITS.admissionBytesMax));
	if (!parsed.success) throw new MeshError('invalid_input', 'what was sealed is no answer to a newcomer');
	return parsed.output;
}
