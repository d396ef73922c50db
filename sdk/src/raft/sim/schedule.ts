/** Virtual time: things that will happen, in order of their time, and of their making where times are equal. */
interface Planned {
	readonly atMs: number;
	readonly order: number;
	readonly run: () => void;
}

export class Schedule {
	nowMs = 0;
	#heap: Planned[] = [];
	#order = 0;

	at(atMs: number, run: () => void): void {
		this.#push({ atMs: Math.max(atMs, this.nowMs), order: this.#order++, run });
	}

	after(delayMs: number, run: () => void): void {
		this.at(this.nowMs + delayMs, run);
	}

	/** Runs the next thing planned up to `untilMs`. False when there is none; time then stands at `untilMs`. */
	runNext(untilMs: number): boolean {
		const next = this.#heap[0];
		if (next === undefined || next.atMs > untilMs) {
			this.nowMs = untilMs;
			return false;
		}
		this.#pop();
		this.nowMs = next.atMs;
		next.run();
		return true;
	}

	#push(item: Planned): void {
		const heap = this.#heap;
		let at = heap.length;
		heap.push(item);
		while (at > 0) {
			const parent = (at - 1) >> 1;
			const above = heap[parent] as Planned;
			if (!isBefore(item, above)) break;
			heap[at] = above;
			at = parent;
		}
		heap[at] = item;
	}

	#pop(): void {
		const heap = this.#heap;
		const item = heap.pop() as Planned;
		const size = heap.length;
		if (size === 0) return;
		let at = 0;
		for (;;) {
			let child = at * 2 + 1;
			if (child >= size) break;
			if (child + 1 < size && isBefore(heap[child + 1] as Planned, heap[child] as Planned)) child += 1;
			if (!isBefore(heap[child] as Planned, item)) break;
			heap[at] = heap[child] as Planned;
			at = child;
		}
		heap[at] = item;
	}
}

function isBefore(a: Planned, b: Planned): boolean {
	return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}
