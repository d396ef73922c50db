/** Which rosters one answer holds: they may be long, and one is enough, if it is the newest. */
import { LIMITS } from '@beemesh/sdk/wire';
import type { HostedPod } from './registry.ts';

const ROSTERS_MAX = 16;
/** Leaves room for what is around them in a message. */
const ANSWER_BYTES_MAX = LIMITS.messageBytesMax - 16 * 1024;

/** The newest first. */
export function rostersOf(pods: readonly Pick<HostedPod, 'roster'>[]): Uint8Array[] {
	const kept = pods.flatMap(({ roster }) => roster ?? []).sort((a, b) => b.keptAtMs - a.keptAtMs);
	return asAnswer(kept.map(({ sealed }) => sealed));
}

/** The first of these that fit into one message. */
export function asAnswer(rosters: readonly Uint8Array[]): Uint8Array[] {
	const fitting: Uint8Array[] = [];
	let bytes = 0;
	for (const sealed of rosters) {
		bytes += sealed.byteLength;
		if (bytes > ANSWER_BYTES_MAX || fitting.length >= ROSTERS_MAX) break;
		fitting.push(sealed);
	}
	return fitting;
}
