/** Reasons in the events of a placement, as whoever asked for it reads them: winners seal theirs past the host between. */
import { type KemKeyPair, openReason } from '../identity/index.ts';
import type { PlaceEvent } from './placement-api.ts';

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
