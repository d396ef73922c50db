/**
 * Lets a tender in, or not: size → form → time → rate → replay → signature and grant → quota, cheap checks first, and
 * only a tender that passed them all spends its sender's rate and nonce. A refusal changes nothing here.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { peekRecord, requireFresh, verifyTender } from '@beemesh/sdk/identity';
import type { Tender } from '@beemesh/sdk/wire';
import type { Verdict } from '../mesh/index.ts';
import { createRateLimit } from './core/rate.ts';
import { createReplayCache, type ReplayVerdict } from './core/replay.ts';

export type Admitted =
	| { readonly verdict: 'accept'; readonly tender: Tender }
	| { readonly verdict: Exclude<Verdict, 'accept'>; readonly error: MeshError };

export interface TenderGate {
	admit(envelope: Uint8Array, nowMs: number): Admitted;
}

/** `startedAtMs`: what was signed before cannot be told from a replay, for the memory of it is gone. */
export function createTenderGate(startedAtMs: number): TenderGate {
	const replays = createReplayCache();
	const rates = createRateLimit();

	return {
		admit(envelope, nowMs) {
			// Whether whoever passed it on is to blame: yes for what anyone can check, no for what depends on a clock or
			// on what came before.
			let verdict: 'reject' | 'ignore' = 'reject';
			try {
				const peeked = peekRecord('tender', envelope);
				const claimed = peeked.body;
				const signer = Buffer.from(peeked.claimed).toString('base64');
				verdict = 'ignore';
				requireFresh('the tender', claimed, nowMs);
				if (claimed.ts < startedAtMs) {
					throw new MeshError('unauthorized', 'the tender is older than this host: it may be a replay');
				}
				const account = `${claimed.requester}/${claimed.wid}`;
				if (!rates.allows(account, nowMs)) {
					throw new MeshError('exhausted', `too many tenders for workload ${claimed.wid}: wait some seconds`);
				}
				const nonce = Buffer.from(claimed.nonce).toString('base64');
				requireUnused(replays.check(signer, nonce, nowMs));

				verdict = 'reject';
				const { tender, grant } = verifyTender(peeked, nowMs);
				const slots = tender.body.slots.length;
				if (new Set(tender.body.slots.map(({ slot }) => slot)).size !== slots) {
					throw new MeshError('invalid_input', 'the tender names a slot twice');
				}
				if (slots > grant.body.quota) {
					throw new MeshError(
						'unauthorized',
						`the tender asks for ${slots} replicas, its grant allows ${grant.body.quota}`,
					);
				}
				replays.commit(signer, nonce, nowMs);
				rates.spend(account, nowMs);
				return { verdict: 'accept', tender: tender.body };
			} catch (error) {
				if (!isMeshError(error)) throw error;
				return { verdict, error };
			}
		},
	};
}

function requireUnused(verdict: ReplayVerdict): void {
	if (verdict === 'replayed') throw new MeshError('conflict', 'this tender has been used already: sign a new one');
	if (verdict === 'full') throw new MeshError('exhausted', 'too many tenders with this key in the last minutes');
}
