/** What must hold of a presence before it counts, whoever brought it. */
import type { MachineTrust } from '@beemesh/sdk/identity';
import { LIMITS, type MachineId, type Presence } from '@beemesh/sdk/wire';
import { introductionOf, openIntroduction, peekIntroduction } from './hello.ts';
import type { Kind } from './intake.ts';

export interface Said {
	readonly presence: Presence;
	/** With the certificate, for those who may not know it. */
	readonly toPassOn: Uint8Array;
}

/** Its `seq` never falls, so what has been heard once is never news again: no nonces are kept. */
export function presenceKind(
	trust: MachineTrust,
	isNews: (machineId: MachineId, seq: number) => boolean,
): Kind<ReturnType<typeof peekIntroduction>, Said> {
	return {
		what: 'the presence',
		bytesMax: LIMITS.frameBytesMax,
		rate: { perMinute: 120, burst: 60 },
		checks: { perMinute: 60 * 60, burst: 600 },
		decode: peekIntroduction,
		claim: ({ presence: { body } }) => ({ sender: body.machineId, account: body.machineId, ts: body.ts }),
		isNews: ({ presence: { body } }) => isNews(body.machineId, body.seq),
		// Whoever passed it on knows the certificate, and we shall with its next full announcement.
		isKnown: ({ presence: { body }, credential }, nowMs) =>
			!trust.isRevoked(body.machineId) &&
			(credential !== undefined || trust.machine(body.machineId, nowMs) !== undefined),
		verify(claim, nowMs) {
			const presence = openIntroduction(claim, trust, nowMs);
			const credential = trust.machine(presence.machineId, nowMs)?.credential;
			return { presence, toPassOn: introductionOf(claim.presence.envelope, credential) };
		},
	};
}
