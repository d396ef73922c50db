/** One probe of one container: when it is due, and what its last results mean. Pure; the driver performs the probe. */
export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProbeTiming {
	readonly initialDelayMs: number;
	readonly periodMs: number;
	readonly timeoutMs: number;
	readonly failureThreshold: number;
	readonly successThreshold: number;
}

export interface ProbeState {
	readonly timing: ProbeTiming;
	/** When the next probe is due; undefined while one is under way. */
	dueAtMs: number | undefined;
	successes: number;
	failures: number;
	/** The last verdict: results in a row reached a threshold. */
	verdict: 'success' | 'failure' | undefined;
}

export function startProbe(timing: ProbeTiming, containerStartedAtMs: number): ProbeState {
	return {
		timing,
		dueAtMs: containerStartedAtMs + timing.initialDelayMs,
		successes: 0,
		failures: 0,
		verdict: undefined,
	};
}

export function recordResult(state: ProbeState, isSuccess: boolean, nowMs: number): void {
	state.dueAtMs = nowMs + state.timing.periodMs;
	if (isSuccess) {
		state.successes++;
		state.failures = 0;
		if (state.successes >= state.timing.successThreshold) state.verdict = 'success';
	} else {
		state.failures++;
		state.successes = 0;
		if (state.failures >= state.timing.failureThreshold) state.verdict = 'failure';
	}
}
