/** Reasons of a placement, as winners and whoever asked for it read them: each seals its own past the host between. */
import { type KemKeyPair, type OpenedMachine, openReason, sealReason } from '../identity/index.ts';
import type { AdmitRequest, PlaceEvent } from './placement-api.ts';

/** The event with its reasons opened. `kem`: the reply key of the placement. */
export function openReasons(event: PlaceEvent, kem: KemKeyPair): PlaceEvent {
	switch (event.type) {
		case 'rejected':
			return { ...event, reason: openReason(event.reason, kem) };
		case 'outcome':
			return event.reason === undefined ? event : { ...event, reason: openReason(event.reason, kem) };
		case 'starved': {
			// Sealed, no two were alike.
			const hosts = new Map<string, number>();
			for (const { requirement, hosts: count } of event.reasons) {
				const opened = openReason(requirement, kem);
				hosts.set(opened, (hosts.get(opened) ?? 0) + count);
			}
			return { ...event, reasons: [...hosts].map(([requirement, count]) => ({ requirement, hosts: count })) };
		}
		default:
			return event;
	}
}

/** The answer as it is sent: a refusal may name the workload, so the winner's host alone reads why. */
export function sealRefusal(answer: AdmitRequest['answer'], { cert }: OpenedMachine): AdmitRequest['answer'] {
	return answer.admitted ? answer : { ...answer, reason: sealReason(answer.reason, cert.kemKey) };
}
