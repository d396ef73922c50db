/** Which of two records holds: of one replica the newer, of one slot the newer replica. */
import type { ServiceRecord } from '../../wire/index.ts';

type Incumbent = Pick<ServiceRecord, 'gen' | 'incarnation' | 'replicaId'>;

/** Of two replicas of one slot, whether `a` displaces `b`: generation, then incarnation, then the lower ID. */
export function beats(a: Incumbent, b: Incumbent): boolean {
	if (a.gen !== b.gen) return a.gen > b.gen;
	if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation;
	return a.replicaId < b.replicaId;
}

/** Of two records of one replica, whether `a` is the newer. Equal sequence numbers: the first one seen stays. */
export function supersedes(a: Pick<ServiceRecord, 'seq'>, b: Pick<ServiceRecord, 'seq'>): boolean {
	return a.seq > b.seq;
}
