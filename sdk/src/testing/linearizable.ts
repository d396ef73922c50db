/**
 * Was a history of concurrent calls linearizable: could every call have taken effect at one instant between its start
 * and its end? The search is that of Wing and Gong with the memory of Lowe (as in Porcupine), per key, because
 * registers are independent.
 *
 * A call of unknown outcome may take effect at any time after its start, or never; both are one case here: it has no
 * end, and an effect after everything else is seen by nobody.
 */
export interface Call {
	readonly client: number | string;
	readonly op: 'get' | 'put' | 'cas' | 'delete';
	readonly key: string;
	/** Written by put and cas. */
	readonly value?: string | null;
	/** What cas compares with; null for "absent". */
	readonly expect?: string | null;
	/** `get`: the value read, null for none. `cas`: whether it swapped. Ignored for put and delete. */
	readonly result?: string | boolean | null;
	readonly callNs: number;
	readonly returnNs: number;
	/** `fail` surely had no effect; `unknown` may have one, even after `returnNs`. */
	readonly outcome: 'ok' | 'fail' | 'unknown';
}

export interface LinearizabilityReport {
	readonly isLinearizable: boolean;
	/** The key whose calls have no order, and the longest order found for some of them. */
	readonly key?: string;
	readonly longestOrder?: readonly Call[];
	/** Calls under way or done when no order could go on: the contradiction is among them. */
	readonly stuckAt?: readonly Call[];
}

/** What the store does with one call. `undefined`: this result is impossible in this state. */
export interface SequentialModel<State> {
	readonly initial: State;
	step(state: State, call: Call): { readonly state: State } | undefined;
	/** Equal for equal states only. */
	key(state: State): string;
}

/** One register per key: put, delete, compare-and-set by value, get. */
export const registerModel: SequentialModel<string | null> = {
	initial: null,
	step(state, call) {
		const isKnown = call.outcome === 'ok';
		switch (call.op) {
			case 'put':
				return { state: call.value ?? null };
			case 'delete':
				return { state: null };
			case 'cas': {
				const swaps = state === (call.expect ?? null);
				if (isKnown && swaps !== call.result) return undefined;
				return { state: swaps ? (call.value ?? null) : state };
			}
			case 'get':
				return isKnown && state !== (call.result ?? null) ? undefined : { state };
		}
	},
	key: (state) => (state === null ? '-' : `=${state}`),
};

/** Checks each key on its own. */
export function checkLinearizable(history: readonly Call[]): LinearizabilityReport {
	const byKey = Map.groupBy(history, ({ key }) => key);
	for (const [key, calls] of byKey) {
		const report = checkCalls(calls, registerModel);
		if (!report.isLinearizable) return { ...report, key };
	}
	return { isLinearizable: true };
}

/** Start or end of a call in a doubly linked list ordered by time; taking a call out removes both. */
interface Moment {
	readonly call: number;
	/** Undefined at the end of a call. */
	readonly end: Moment | undefined;
	previous: Moment | undefined;
	next: Moment | undefined;
}

/** Checks calls that all concern one state. */
export function checkCalls<State>(all: readonly Call[], model: SequentialModel<State>): LinearizabilityReport {
	const calls = all.filter(({ op, outcome }) => outcome === 'ok' || (outcome === 'unknown' && op !== 'get'));
	const known = calls.filter(({ outcome }) => outcome === 'ok').length;
	const head = timeline(calls);
	const taken = new Set<string>();
	const bits = new Uint32Array(Math.ceil(calls.length / 32));
	const order: { readonly moment: Moment; readonly before: State }[] = [];
	let longest: number[] = [];
	let state = model.initial;
	let at = head.next;
	let ordered = 0;
	// Calls without an end need no place in the order.
	while (ordered < known) {
		if (at?.end !== undefined) {
			const call = calls[at.call] as Call;
			const after = model.step(state, call);
			if (after !== undefined && remember(taken, bits, at.call, model.key(after.state))) {
				order.push({ moment: at, before: state });
				state = after.state;
				if (call.outcome === 'ok') ordered += 1;
				unlink(at);
				at = head.next;
				continue;
			}
			at = at.next;
			continue;
		}
		// A call has ended that is not in the order yet: the last choice was wrong.
		if (order.length > longest.length) longest = order.map(({ moment }) => moment.call);
		const last = order.pop();
		if (last === undefined) return explain(calls, longest);
		state = last.before;
		if (calls[last.moment.call]?.outcome === 'ok') ordered -= 1;
		flip(bits, last.moment.call);
		relink(last.moment);
		at = last.moment.next;
	}
	return { isLinearizable: true };
}

function timeline(calls: readonly Call[]): Moment {
	interface Timed {
		readonly timeNs: number;
		readonly moment: Moment;
	}
	const timed: Timed[] = [];
	calls.forEach((call, i) => {
		const endNs = call.outcome === 'ok' ? call.returnNs : Number.POSITIVE_INFINITY;
		const end: Moment = { call: i, end: undefined, previous: undefined, next: undefined };
		timed.push({ timeNs: call.callNs, moment: { call: i, end, previous: undefined, next: undefined } });
		timed.push({ timeNs: endNs, moment: end });
	});
	// At one and the same instant starts come first: the calls may then overlap, which is the milder reading.
	const rank = ({ moment }: Timed) => (moment.end === undefined ? 1 : 0);
	timed.sort((a, b) => (a.timeNs === b.timeNs ? rank(a) - rank(b) : a.timeNs - b.timeNs));
	const head: Moment = { call: -1, end: undefined, previous: undefined, next: undefined };
	let tail = head;
	for (const { moment } of timed) {
		tail.next = moment;
		moment.previous = tail;
		tail = moment;
	}
	return head;
}

function remove(moment: Moment): void {
	if (moment.previous !== undefined) moment.previous.next = moment.next;
	if (moment.next !== undefined) moment.next.previous = moment.previous;
}

function restore(moment: Moment): void {
	if (moment.previous !== undefined) moment.previous.next = moment;
	if (moment.next !== undefined) moment.next.previous = moment;
}

function unlink(start: Moment): void {
	remove(start);
	if (start.end !== undefined) remove(start.end);
}

/** In the opposite order of `unlink`, which leaves the neighbours' addresses in place. */
function relink(start: Moment): void {
	if (start.end !== undefined) restore(start.end);
	restore(start);
}

function flip(bits: Uint32Array, call: number): void {
	const word = call >>> 5;
	bits[word] = (bits[word] as number) ^ (1 << (call & 31));
}

/** Marks the call as ordered. False, and unmarked, when the same calls led to the same state before. */
function remember(taken: Set<string>, bits: Uint32Array, call: number, stateKey: string): boolean {
	flip(bits, call);
	const key = `${bits.join(',')}|${stateKey}`;
	if (taken.has(key)) {
		flip(bits, call);
		return false;
	}
	taken.add(key);
	return true;
}

function explain(calls: readonly Call[], longest: readonly number[]): LinearizabilityReport {
	const done = new Set(longest);
	const rest = calls.filter((call, i) => !done.has(i) && call.outcome === 'ok');
	const earliestEnd = Math.min(...rest.map(({ returnNs }) => returnNs));
	return {
		isLinearizable: false,
		longestOrder: longest.map((i) => calls[i] as Call),
		stuckAt: rest.filter(({ callNs }) => callNs <= earliestEnd),
	};
}
