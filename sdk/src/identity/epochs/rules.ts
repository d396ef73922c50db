/** The rules of membership, each with a name, so that a refusal says which of them was broken. */
import { MeshError } from '../../errors.ts';

export const EPOCH_RULES = {
	workload: 'an epoch and its certificates are of one workload, its charter’s',
	era: 'members keep the era; the owner has a charter of the era that it signs',
	number: 'an epoch has the number after that of the epoch it follows; the first has none before it, and number 0',
	previous: 'an epoch names the epoch that it follows',
	time: 'an epoch is not older than the one it follows, nor from the future',
	slots: 'slots are below the charter’s maximum, and a slot is a member’s or vacant, not both',
	generation: 'a slot’s next member has the next generation; generations are neither skipped nor used again',
	vacancy: 'a slot that had a member is remembered with its last generation',
	incarnation: 'incarnations do not fall, and a certificate is of one',
	renewal: 'a generation is one replica: its renewed certificate says what the old one said, for a later time',
	'key-twice': 'no two members share a key, a replica ID or a certificate',
	'group-key': 'the group key changes when somebody goes',
	certificate: 'every member’s certificate is there, is its own, and says what the epoch says',
	validity: 'certificates hold at the time of the epoch',
	lifetime: 'certificates live no longer than the charter lets them',
	signers: 'enough members of the previous epoch, or the owner alone, have signed',
} as const;
export type EpochRule = keyof typeof EPOCH_RULES;

/** A refusal: `details.rule` names the rule. */
export function broken(rule: EpochRule, why: string): MeshError {
	return new MeshError('unauthorized', `membership is not changed: ${why} (${EPOCH_RULES[rule]})`, {
		details: { rule },
	});
}
