/** Lets a tender in, or not: the intake of everything relayed, and what a grant allows. */
import { MeshError } from '@beemesh/sdk/errors';
import { peekRecord, verifyTender } from '@beemesh/sdk/identity';
import { LIMITS, type MachineId, type Tender } from '@beemesh/sdk/wire';
import { type Admitted, Intake, type Kind, type RateConfig } from '../mesh/index.ts';

export interface TenderGate {
	/** `from`: the machine that passed it on; undefined for one that was handed in here. */
	admit(envelope: Uint8Array, from: MachineId | undefined, nowMs: number): Admitted<Tender>;
}

/** `identity.md`: 10 tenders a minute. Counted per requester and workload, so that one workload cannot starve another. */
export const TENDER_RATE: RateConfig = { perMinute: 10, burst: 20 };
/**
 * Anybody can make an owner, and so a valid tender: what is checked for one machine is bounded, and with it what the replay
 * cache has to remember: a dozen machines that do nothing else cannot fill it.
 */
const TENDER_CHECKS: RateConfig = { perMinute: 5 * 60, burst: 50 };

export interface TenderGateOptions {
	/** What was signed before cannot be told from a replay. */
	readonly startedAtMs: number;
	/** Whether this is a machine of the mesh that we know. @default all are */
	readonly isKnown?: (requester: MachineId, nowMs: number) => boolean;
}

type Peeked = ReturnType<typeof peekRecord<'tender'>>;

export function createTenderGate({ startedAtMs, isKnown = () => true }: TenderGateOptions): TenderGate {
	const kind: Kind<Peeked, Tender> = {
		what: 'the tender',
		bytesMax: LIMITS.recordBytesMax,
		rate: TENDER_RATE,
		checks: TENDER_CHECKS,
		decode: (envelope) => peekRecord('tender', envelope),
		claim: ({ body, claimed }) => ({
			sender: Buffer.from(claimed).toString('base64'),
			account: `${body.requester}/${body.wid}`,
			nonce: Buffer.from(body.nonce).toString('base64'),
			ts: body.ts,
			exp: body.exp,
		}),
		isKnown: ({ body }, nowMs) => isKnown(body.requester, nowMs),
		verify: (peeked, nowMs) => {
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
			return tender.body;
		},
	};
	const intake = new Intake(kind, startedAtMs);
	return { admit: (envelope, from, nowMs) => intake.admit(envelope, from, nowMs) };
}
