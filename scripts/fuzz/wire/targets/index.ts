/** Every decoder that is handed bytes from outside. */
import type { Corpus } from '../corpus.ts';
import type { Target } from '../target.ts';
import { fileTargets } from './files.ts';
import { frameTargets } from './frames.ts';
import { membershipTargets } from './membership.ts';
import { raftTargets } from './raft.ts';
import { recordTargets } from './records.ts';
import { sealedTargets } from './sealed.ts';
import { sessionTargets } from './session.ts';

export async function allTargets(corpus: Corpus): Promise<readonly Target[]> {
	return [
		...recordTargets(corpus),
		...sealedTargets(corpus),
		...membershipTargets(corpus),
		...sessionTargets(),
		...frameTargets(corpus),
		...(await raftTargets(corpus)),
		...(await fileTargets(corpus)),
	];
}
