/**
 * How one member of a group reaches the others. Best effort: what it carries may be lost or come twice, and Raft
 * copes. Whoever provides it vouches for `from`: bytes are only handed over when that member's own key sent them.
 */
import type { MemberId } from './core/index.ts';

export interface GroupLink {
	/** Queues bytes for a member. False: not sent, because it is not connected or its queue is full. */
	send(to: MemberId, bytes: Uint8Array): boolean;
	onMessage(listener: (from: MemberId, bytes: Uint8Array) => void): Disposable;
	/**
	 * A member's connection was lost (a hint: the process may live on). A group that loses its leader campaigns at
	 * once instead of waiting for the election timeout; pre-vote keeps a wrong hint harmless.
	 */
	onLost(listener: (member: MemberId) => void): Disposable;
}

/** Largest message a link must carry: one append of a config's `messageBytesMax`, or one entry, plus some framing. */
export const LINK_BYTES_MAX = 4 * 1024 * 1024 - 1024;
