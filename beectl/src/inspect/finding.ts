/** What `beectl inspect` says about one thing: a headline, facts, and whether its signature holds. */
import { describeRecord, keyIdOf, type OpenedMesh, type PeekedRecord } from '@beemesh/sdk/identity';
import { KEY_BYTES, type RecordType } from '@beemesh/sdk/wire';
import { type Field, fields } from '../output/fields.ts';
import { counted } from '../output/human.ts';
import { printable } from '../output/table.ts';
import { factsOf, keyText, plainOf } from './facts.ts';
import { type Verdict, verdictOn } from './verdict.ts';

export interface Finding {
	/** One line. */
	readonly headline: string;
	readonly facts: readonly Field[];
	/** Of records only. */
	readonly verdict?: Verdict;
	/** For programs. */
	readonly data: Readonly<Record<string, unknown>>;
	/** Records in it. */
	readonly parts: readonly Finding[];
}

/** `verdict`: where more is known than the record alone says. */
export function findingOf<T extends RecordType>(
	record: PeekedRecord<T>,
	meshes: readonly OpenedMesh[],
	nowMs: number,
	verdict: Verdict = verdictOn(record, meshes),
): Finding {
	const { type, body, cid, claims, envelope } = record;
	const keyIds = claims.map((claim) => (claim.byteLength === KEY_BYTES.publicKey ? keyIdOf(claim) : claim));
	const headline = describeRecord(type, body);
	return {
		headline,
		facts: [
			['Type', type],
			['CID', cid],
			['Size', counted(envelope.byteLength, 'byte')],
			...factsOf(body, nowMs),
			['Signed with', keyIds.map(keyText).join(', ')],
			['Signature', `${STATES[verdict.state]} (${verdict.why})`],
		],
		verdict,
		data: {
			type,
			description: headline,
			cid,
			sizeBytes: envelope.byteLength,
			signers: keyIds.map((keyId) => Buffer.from(keyId).toString('hex')),
			signature: verdict,
			body: plainOf(body),
		},
		parts: [],
	};
}

export function textOf({ headline, facts, parts }: Finding): string {
	const own = `${printable(headline)}\n${facts.length === 0 ? '' : fields(facts)}`;
	return [own, ...parts.map(textOf)].join('\n');
}

export function dataOf({ data, parts }: Finding): unknown {
	return parts.length === 0 ? data : { ...data, records: parts.map(dataOf) };
}

export function isBroken({ verdict, parts }: Finding): boolean {
	return verdict?.state === 'broken' || parts.some(isBroken);
}

const STATES: Readonly<Record<Verdict['state'], string>> = {
	holds: 'holds',
	broken: 'does NOT hold',
	unchecked: 'cannot be checked here',
};
