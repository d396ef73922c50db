/**
 * Linearizable reads without a log entry (ReadIndex, thesis §6.4). A leader notes its commit index, proves with one
 * round of heartbeats that it still leads, and answers. Reads are numbered by the leader itself: an acknowledgement
 * of number n confirms every read up to n, whoever asked.
 */
import { type JointVoters, jointIndex } from './quorum.ts';
import type { MemberId } from './types.ts';

/** Who waits: callers on this node, or a follower's batch of callers. */
export type ReadOrigin =
	| { readonly type: 'local'; readonly id: number }
	| { readonly type: 'remote'; readonly from: MemberId; readonly nonce: number; readonly sequence: number };

interface Round {
	readonly index: number;
	readonly origins: readonly ReadOrigin[];
}

/** The leader's side, for one term. */
export class LeaderReads {
	/** Asked for, no round started yet. */
	#waiting: ReadOrigin[] = [];
	/** Rounds not confirmed yet; the first has number `#confirmed + 1`. */
	#rounds: Round[] = [];
	#confirmed = 0;
	readonly #acknowledged = new Map<MemberId, number>();

	add(origin: ReadOrigin): void {
		this.#waiting.push(origin);
	}

	get hasWaiting(): boolean {
		return this.#waiting.length > 0;
	}

	takeWaiting(): readonly ReadOrigin[] {
		const waiting = this.#waiting;
		this.#waiting = [];
		return waiting;
	}

	/** Opens a round for everyone who waits. */
	startRound(commitIndex: number, self: MemberId): void {
		this.#rounds.push({ index: commitIndex, origins: this.takeWaiting() });
		this.#acknowledged.set(self, this.sequence);
	}

	/** What heartbeats ask to be acknowledged; 0 when no read waits. */
	get sequence(): number {
		return this.#rounds.length === 0 ? 0 : this.#confirmed + this.#rounds.length;
	}

	acknowledge(from: MemberId, sequence: number): void {
		if (sequence > (this.#acknowledged.get(from) ?? 0)) this.#acknowledged.set(from, sequence);
	}

	/** Rounds that a quorum has confirmed by now. */
	takeConfirmed(voters: JointVoters): readonly Round[] {
		const last = this.#confirmed + this.#rounds.length;
		const confirmed = Math.min(
			jointIndex(voters, (id) => this.#acknowledged.get(id)),
			last,
		);
		if (confirmed <= this.#confirmed) return [];
		const rounds = this.#rounds.splice(0, confirmed - this.#confirmed);
		this.#confirmed = confirmed;
		return rounds;
	}

	/** Callers on this node that have no answer yet. */
	localIds(): number[] {
		const origins = [...this.#rounds.flatMap((round) => round.origins), ...this.#waiting];
		return origins.flatMap((origin) => (origin.type === 'local' ? [origin.id] : []));
	}
}

interface Forwarded {
	readonly sequence: number;
	readonly ids: readonly number[];
}

/** The follower's side: batches of callers sent to the leader. Outlives terms, because late answers stay true. */
export class ForwardedReads {
	/** Distinguishes this run of the process: an answer to an earlier run is too old for reads of this one. */
	readonly nonce: number;
	#waiting: number[] = [];
	#sent: Forwarded[] = [];
	#sequence = 0;
	/** Highest number already sent when the last heartbeat came. */
	#seenAtHeartbeat = 0;

	constructor(nonce: number) {
		this.nonce = nonce;
	}

	add(id: number): void {
		this.#waiting.push(id);
	}

	get hasWaiting(): boolean {
		return this.#waiting.length > 0;
	}

	/** Gives everyone who waits one number to send to the leader. */
	startBatch(): number {
		this.#sequence += 1;
		this.#sent.push({ sequence: this.#sequence, ids: this.#waiting });
		this.#waiting = [];
		return this.#sequence;
	}

	/** The leader answered `sequence`: true for everything asked before it, too. */
	takeAnswered(nonce: number, sequence: number): number[] {
		if (nonce !== this.nonce) return [];
		const ids: number[] = [];
		while (this.#sent.length > 0 && (this.#sent[0] as Forwarded).sequence <= sequence) {
			ids.push(...(this.#sent.shift() as Forwarded).ids);
		}
		return ids;
	}

	/** The number to ask again for, when an answer stayed out for a whole heartbeat; otherwise undefined. */
	overdueAtHeartbeat(): number | undefined {
		const isOverdue = this.#sent.length > 0 && (this.#sent[0] as Forwarded).sequence <= this.#seenAtHeartbeat;
		this.#seenAtHeartbeat = this.#sequence;
		return isOverdue ? this.#sequence : undefined;
	}

	dropAll(): number[] {
		const ids = [...this.#sent.flatMap((batch) => batch.ids), ...this.#waiting];
		this.#sent = [];
		this.#waiting = [];
		return ids;
	}
}
