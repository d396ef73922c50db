/**
 * Which admission request counts on which award. The first one binds its award: the same request again gets the same
 * answer, however often it comes; another one is refused. Answers are kept until their award's time is over.
 */
import type { RecordCid } from '@beemesh/sdk/wire';

export type AdmissionVerdict<A> =
	/** New: ask whoever wanted the placement. */
	| { readonly type: 'ask' }
	/** Asked already; the answer will be the same for all who wait. */
	| { readonly type: 'wait' }
	| { readonly type: 'answered'; readonly answer: A }
	| { readonly type: 'refused'; readonly reason: string };

export interface Admissions<A> {
	/** `live`: the award is some placement's live one. */
	request(awardId: string, csrCid: RecordCid, live: boolean, untilMs: number, nowMs: number): AdmissionVerdict<A>;
	/** False when nobody asked this question. */
	answer(awardId: string, csrCid: RecordCid, answer: A): boolean;
}

export function createAdmissions<A>(): Admissions<A> {
	const bound = new Map<string, { readonly csrCid: RecordCid; readonly untilMs: number; answer: A | undefined }>();
	return {
		request(awardId, csrCid, live, untilMs, nowMs) {
			for (const [id, entry] of bound) if (nowMs > entry.untilMs) bound.delete(id);
			const entry = bound.get(awardId);
			if (entry !== undefined && entry.csrCid !== csrCid) {
				return { type: 'refused', reason: 'another admission request has been made on this award' };
			}
			if (entry?.answer !== undefined) return { type: 'answered', answer: entry.answer };
			if (!live)
				return {
					type: 'refused',
					reason: 'this award is not live here: unknown, expired, cancelled or given to another host',
				};
			if (nowMs > untilMs) return { type: 'refused', reason: 'the award has expired' };
			if (entry !== undefined) return { type: 'wait' };
			bound.set(awardId, { csrCid, untilMs, answer: undefined });
			return { type: 'ask' };
		},
		answer(awardId, csrCid, answer) {
			const entry = bound.get(awardId);
			if (entry === undefined || entry.csrCid !== csrCid) return false;
			// The first answer stands: a certificate that has been given cannot be taken back by another call.
			entry.answer ??= answer;
			return true;
		},
	};
}
