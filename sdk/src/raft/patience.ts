/**
 * How long a call waits for a leader. At first long enough for any election; once there has been none for that long,
 * another election's length: callers of a minority learn soon that there is no majority.
 */
import type { GroupConfig } from './config.ts';

export class Patience {
	private readonly quorumWaitMs: number;
	private readonly electionMs: number;
	private sinceMs: number | undefined;

	/** A group begins without a leader. */
	constructor(config: GroupConfig, nowMs: number) {
		this.quorumWaitMs = config.quorumWaitMs;
		this.electionMs = Math.min(config.quorumWaitMs, 2 * config.electionTimeoutMs);
		this.sinceMs = nowMs;
	}

	leadershipChanged(hasLeader: boolean, nowMs: number): void {
		this.sinceMs = hasLeader ? undefined : (this.sinceMs ?? nowMs);
	}

	/** Undefined while there is a leader. */
	get leaderlessSinceMs(): number | undefined {
		return this.sinceMs;
	}

	/** For a call that begins, or that was refused, now. */
	waitMs(nowMs: number): number {
		const isLongGone = this.sinceMs !== undefined && nowMs - this.sinceMs >= this.quorumWaitMs;
		return isLongGone ? this.electionMs : this.quorumWaitMs;
	}
}
