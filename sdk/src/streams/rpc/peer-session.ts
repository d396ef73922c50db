/**
 * The session with one remote process, over one link or, for a moment, several: when both sides dial at once, or a
 * link broke for one side first. All but one are retired without failing a call in flight; callers never notice.
 */
import { isMeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { makeCaller } from './calls-out.ts';
import type { Caller, Contract, Methods } from './contract.ts';
import type { Link } from './link.ts';
import type { Session } from './session.types.ts';

/** How long the link that is to stay may take to prove that it lives. */
const PROOF_MS = 2_000;
/** Proofs in a row that a link may miss: who could not run for a while finds its deadline over before it reads the answer. */
const MISSES_MAX = 3;

export class PeerSession<P> implements Session<P> {
	readonly remote: PeerId;
	/** Names the remote process; another one under the same peer ID gets another session. */
	readonly instance: string;
	readonly #self: PeerId;
	readonly #links: Link<P>[] = [];
	readonly #onClose: ((error?: Error) => void)[] = [];
	#last: Link<P>;
	#closed = false;
	#closedWith: Error | undefined;
	#settling = false;

	constructor(self: PeerId, first: Link<P>) {
		this.#self = self;
		this.remote = first.remote as PeerId;
		this.instance = first.remoteInstance;
		this.#last = first;
		this.add(first);
	}

	get links(): readonly Link<P>[] {
		return this.#links;
	}

	get principal(): P {
		return this.#current().principal;
	}

	get open(): boolean {
		return !this.#closed && this.#links.some((link) => link.open);
	}

	get rttMs(): number | undefined {
		return this.#current().rttMs;
	}

	caller<M extends Methods>(contract: Contract<M>): Caller<M> {
		return makeCaller(contract, () => this.#current().calls);
	}

	notify(channel: string, payload: Uint8Array): boolean {
		return this.#current().notify(channel, payload);
	}

	ping(timeoutMs: number): Promise<number> {
		return this.#current().ping(timeoutMs);
	}

	async close(reason?: string): Promise<void> {
		this.#finish(undefined);
		await Promise.all(this.#links.map((link) => link.close(reason)));
	}

	/** Ends every link at once. */
	abort(error: Error): void {
		this.#finish(error);
		for (const link of [...this.#links]) link.abort(error);
	}

	onClose(listener: (error?: Error) => void): void {
		if (this.#closed) queueMicrotask(() => listener(this.#closedWith));
		else this.#onClose.push(listener);
	}

	/** Takes a link to the same process. */
	add(link: Link<P>): void {
		this.#links.push(link);
		this.#last = link;
		link.onClose((error) => {
			this.#links.splice(this.#links.indexOf(link), 1);
			if (this.#links.length === 0) this.#finish(error);
		});
		void this.#settle();
	}

	/**
	 * The link that new calls take: the newest, whose hello has just proved it alive, while an older one may be dead
	 * without our knowing. The last one, though closed, when there is none: it knows why it ended.
	 */
	#current(): Link<P> {
		return (
			this.#links.findLast((link) => link.open && !link.retiring) ?? this.#links.find((link) => link.open) ?? this.#last
		);
	}

	/**
	 * The link both sides choose to keep: of two that the same side opened the later (it would not have opened one had
	 * the earlier been alive), else the one that the lower peer ID opened.
	 */
	#best(): Link<P> | undefined {
		let best: Link<P> | undefined;
		for (const link of this.#links) {
			if (!link.open || link.retiring) continue;
			if (best === undefined || best.initiator === link.initiator || this.#isByLower(link)) best = link;
		}
		return best;
	}

	#isByLower(link: Link<P>): boolean {
		return link.initiator === this.#self < this.remote;
	}

	/**
	 * Retires all links but the best, once that one answered: the answer proves that the remote has it open, so nothing
	 * that the remote would send on a retired link is lost.
	 */
	async #settle(): Promise<void> {
		if (this.#settling) return;
		this.#settling = true;
		let misses = 0;
		try {
			for (;;) {
				const best = this.#best();
				const others = this.#links.filter((link) => link !== best && link.open && !link.retiring);
				if (best === undefined || others.length === 0) return;
				try {
					await best.ping(PROOF_MS);
				} catch (error) {
					misses++;
					// The remote may have retired the others by now, and both sides would have nothing left.
					if (misses === MISSES_MAX || !isMeshError(error, 'deadline')) best.abort(error as Error);
					if (!best.open) misses = 0;
					continue;
				}
				if (best === this.#best()) for (const link of others) link.retire();
			}
		} finally {
			this.#settling = false;
		}
	}

	#finish(error: Error | undefined): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#closedWith = error;
		for (const listener of this.#onClose.splice(0)) listener(error);
	}
}
