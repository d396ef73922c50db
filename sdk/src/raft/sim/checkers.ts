/**
 * The promises of Raft (figure 3), checked after every step of every node against what all nodes did so far. They see
 * only what nodes hand out, never what nodes believe.
 */
import type { Entry, HardState, MemberId, Message, SnapshotMeta } from '../core/index.ts';

export type Rule =
	| 'election safety'
	| 'log matching'
	| 'leader completeness'
	| 'state machine safety'
	| 'one vote per term'
	| 'durable state moves forward'
	| 'no impossible state'
	| 'linearizability'
	| 'recovery';

export class Violation extends Error {
	override readonly name = 'Violation';
	readonly rule: Rule;

	constructor(rule: Rule, message: string) {
		super(`${rule}: ${message}`);
		this.rule = rule;
	}
}

/** The log a node has handed out for writing: what is in its memory. */
export class LogView {
	#baseIndex: number;
	#baseTerm: number;
	#entries: Entry[];

	constructor(base: { readonly index: number; readonly term: number }, entries: readonly Entry[]) {
		this.#baseIndex = base.index;
		this.#baseTerm = base.term;
		this.#entries = [...entries];
	}

	get baseIndex(): number {
		return this.#baseIndex;
	}

	get lastIndex(): number {
		return this.#baseIndex + this.#entries.length;
	}

	entryAt(index: number): Entry | undefined {
		return this.#entries[index - this.#baseIndex - 1];
	}

	termAt(index: number): number | undefined {
		return index === this.#baseIndex ? this.#baseTerm : this.entryAt(index)?.term;
	}

	append(entries: readonly Entry[]): void {
		const first = entries[0];
		if (first === undefined) return;
		this.#entries.length = first.index - 1 - this.#baseIndex;
		this.#entries.push(...entries);
	}

	restore(snapshot: SnapshotMeta): void {
		this.#baseIndex = snapshot.index;
		this.#baseTerm = snapshot.term;
		this.#entries = [];
	}

	compact(index: number): void {
		const term = this.termAt(index);
		if (term === undefined || index <= this.#baseIndex) return;
		this.#entries = this.#entries.slice(index - this.#baseIndex);
		this.#baseIndex = index;
		this.#baseTerm = term;
	}
}

interface Committed {
	readonly entry: Entry;
	/** The term of whoever first knew it to be committed. */
	readonly inTerm: number;
}

interface Origin {
	readonly entry: Entry;
	readonly previousTerm: number;
}

const TERM_STRIDE = 2 ** 32;

export class Checkers {
	readonly #leaders = new Map<number, MemberId>();
	readonly #votes = new Map<number, Map<MemberId, MemberId>>();
	/** By index; nothing at 0. */
	readonly #committed: (Committed | undefined)[] = [];
	/** By term and index. */
	readonly #origins = new Map<number, Origin>();
	readonly #digests = new Map<number, string>();

	get elections(): number {
		return this.#leaders.size;
	}

	/** At most one leader per term (§5.2), and it has everything committed in earlier terms (§5.4). */
	led(id: MemberId, term: number, log: LogView): void {
		const other = this.#leaders.get(term);
		if (other !== undefined && other !== id) {
			throw new Violation('election safety', `members ${other} and ${id} both lead term ${term}`);
		}
		if (other === id) return;
		this.#leaders.set(term, id);
		for (let index = log.baseIndex + 1; index < this.#committed.length; index++) {
			const committed = this.#committed[index];
			if (committed === undefined || committed.inTerm >= term || log.termAt(index) === committed.entry.term) continue;
			const has = log.termAt(index) ?? 'nothing';
			throw new Violation(
				'leader completeness',
				`member ${id} leads term ${term} with term ${has} at ${index}; term ${committed.entry.term} is committed`,
			);
		}
	}

	/** Equal index and term mean equal entries and equal logs before them (§5.3), by induction over the entry before. */
	appended(id: MemberId, entries: readonly Entry[], log: LogView): void {
		for (const entry of entries) {
			const previousTerm = log.termAt(entry.index - 1);
			if (previousTerm === undefined) {
				throw new Violation('log matching', `member ${id} has a gap before entry ${entry.index}`);
			}
			const key = entry.term * TERM_STRIDE + entry.index;
			const origin = this.#origins.get(key);
			if (origin === undefined) this.#origins.set(key, { entry, previousTerm });
			else if (origin.previousTerm !== previousTerm || !isSame(origin.entry, entry)) {
				throw new Violation('log matching', `entry ${entry.index} of term ${entry.term} differs on member ${id}`);
			}
		}
	}

	/** Everybody commits the same entry at the same index (state machine safety, §5.4.3). */
	committed(id: MemberId, index: number, entry: Entry, term: number): void {
		const known = this.#committed[index];
		if (known === undefined) this.#committed[index] = { entry, inTerm: term };
		else if (!isSame(known.entry, entry)) {
			throw new Violation(
				'state machine safety',
				`member ${id} commits term ${entry.term} at ${index}, where term ${known.entry.term} is committed`,
			);
		}
	}

	applied(id: MemberId, entry: Entry): void {
		const known = this.#committed[entry.index];
		if (known === undefined || !isSame(known.entry, entry)) {
			throw new Violation('state machine safety', `member ${id} applies what is not committed at ${entry.index}`);
		}
	}

	/** Equal applied indices mean equal states. */
	digest(id: MemberId, index: number, digest: string): void {
		const known = this.#digests.get(index);
		if (known === undefined) this.#digests.set(index, digest);
		else if (known !== digest) {
			throw new Violation('state machine safety', `member ${id} has another state than others at ${index}`);
		}
	}

	snapshot(id: MemberId, meta: SnapshotMeta): void {
		const known = this.#committed[meta.index];
		if (known === undefined || known.entry.term !== meta.term) {
			throw new Violation('state machine safety', `member ${id} takes a snapshot of what is not committed`);
		}
	}

	sent(message: Message): void {
		if (message.type !== 'vote-response' || message.reject) return;
		let votes = this.#votes.get(message.term);
		if (votes === undefined) {
			votes = new Map();
			this.#votes.set(message.term, votes);
		}
		const earlier = votes.get(message.from);
		if (earlier !== undefined && earlier !== message.to) {
			throw new Violation(
				'one vote per term',
				`member ${message.from} votes for ${earlier} and ${message.to} in term ${message.term}`,
			);
		}
		votes.set(message.from, message.to);
	}

	hardState(id: MemberId, before: HardState, after: HardState): void {
		const changesVote = before.term === after.term && before.vote !== 0 && before.vote !== after.vote;
		if (after.term >= before.term && after.commit >= before.commit && !changesVote) return;
		throw new Violation(
			'durable state moves forward',
			`member ${id} goes from ${JSON.stringify(before)} to ${JSON.stringify(after)}`,
		);
	}
}

function isSame(a: Entry, b: Entry): boolean {
	if (a === b) return true;
	if (a.term !== b.term || a.type !== b.type || a.data.byteLength !== b.data.byteLength) return false;
	return a.data === b.data || a.data.every((byte, i) => byte === b.data[i]);
}
