/** Whether epochs were signed by those who may: the owner, or enough members of the epoch before. */

import { isMeshError } from '../../errors.ts';
import type { Charter, RecordCid } from '../../wire/index.ts';
import { type CosignedRecord, type PeekedRecord, sameBytes } from '../records.ts';
import { type CertShelf, requireValidAt } from './members.ts';
import { broken } from './rules.ts';
import { checkEpoch, checkSuccession, type EpochView } from './succession.ts';
import { signaturesNeeded } from './terms.ts';

export type EpochPeek = PeekedRecord<'epoch'>;

/** An epoch that may follow the one before it. */
export interface Step {
	readonly record: EpochPeek;
	/** Certificates of its signers: who checks this step needs them. */
	readonly signerCerts: readonly RecordCid[];
}

/** Throws unless the owner alone has signed. Its word needs no epoch before it: whoever joins may begin with it. */
export function judgeOwner(record: EpochPeek, charter: Charter, ownerKey: Uint8Array): void {
	checkEpoch(record.body, charter);
	verifyAll(record, [ownerKey]);
}

/** Judges epochs that follow one another. All rules on bodies come first, then signatures. */
export function judgeSteps(
	from: EpochView,
	records: readonly EpochPeek[],
	shelf: CertShelf,
	charter: Charter,
): readonly Step[] {
	const befores = [from, ...records];
	for (const [i, { body }] of records.entries()) {
		checkEpoch(body, charter);
		checkSuccession(befores[i] as EpochView, body);
	}
	return records.map((record, i) => judgeSigners(befores[i] as EpochView, record, shelf, charter));
}

function judgeSigners({ body: before }: EpochView, record: EpochPeek, shelf: CertShelf, charter: Charter): Step {
	const needed = signaturesNeeded(charter, before.members.length);
	if (record.claims.length < needed)
		throw broken(
			'signers',
			before.members.length === 0
				? `nobody is in epoch ${before.e} who could sign epoch ${record.body.e}`
				: `epoch ${record.body.e} has ${record.claims.length} signatures of ${needed}`,
		);
	const certs = record.claims.map((claim) => {
		const signer = before.members.find(({ sigKeyId }) => sameBytes(sigKeyId, claim));
		if (signer === undefined)
			throw broken('signers', `epoch ${record.body.e} is signed by somebody who is not in epoch ${before.e}`);
		const cert = shelf.certOf(signer, charter);
		requireValidAt(cert, record.body.ts);
		return cert;
	});
	verifyAll(
		record,
		certs.map(({ body }) => body.sigKey),
	);
	return { record, signerCerts: certs.map(({ cid }) => cid) };
}

function verifyAll(record: EpochPeek, keys: readonly Uint8Array[]): CosignedRecord<'epoch'> {
	try {
		return record.verifyAll(keys);
	} catch (cause) {
		if (!isMeshError(cause)) throw cause;
		throw broken('signers', cause.message);
	}
}
