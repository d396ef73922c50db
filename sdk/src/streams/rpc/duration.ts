/** Durations as people write them: a number of milliseconds, or a number with its unit. */
import { MeshError } from '../../errors.ts';
import type { Duration } from './contract.ts';

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

export function durationMs(duration: Duration): number {
	if (typeof duration === 'number') {
		if (duration >= 0) return duration;
	} else {
		const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(duration);
		if (match) return Number(match[1]) * (UNITS_MS[match[2] as string] as number);
	}
	throw new MeshError('invalid_input', `'${duration}' is not a duration: use milliseconds, or '500ms', '2s', '1m'`);
}
