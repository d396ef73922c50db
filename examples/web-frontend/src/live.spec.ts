import type { Change } from '@beemesh/example-kv-store/keys';
import type { SseEvent } from '@beemesh/example-kv-store/kit';
import { MeshError } from '@beemesh/sdk';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { threeReplicas } from '../test/harness.ts';
import { Live, type LiveSource } from './live.ts';
import { overviewOf } from './overview.ts';

/** A store whose watch the test ends and fails by hand. */
class ScriptedSource implements LiveSource {
	readonly asked: (number | undefined)[] = [];
	#next = Promise.withResolvers<{ changes: Change[]; error: Error }>();

	async overview() {
		const found = threeReplicas();
		return overviewOf({ workload: 'kv-store', found }, { workload: 'web-frontend', replicas: [] });
	}

	async watch({ from }: { from?: number }): Promise<AsyncIterable<Change>> {
		this.asked.push(from);
		const { changes, error } = await this.#next.promise;
		this.#next = Promise.withResolvers();
		return (async function* () {
			yield* changes;
			throw error;
		})();
	}

	/** The next watch brings these changes and then breaks. */
	bring(changes: Change[], error: Error): void {
		this.#next.resolve({ changes, error });
	}
}

describe('live events', () => {
	const config = { pollMs: 5, retryMs: 1, recentMax: 2, queueMax: 5 };
	const broken = new MeshError('unavailable', 'the replica went away');
	const put = (rev: number): Change => ({ key: 'a', value: Buffer.from(String(rev)), rev });
	let stop: AbortController;
	let source: ScriptedSource;
	let live: Live;

	beforeEach(() => {
		stop = new AbortController();
		source = new ScriptedSource();
		live = new Live(source, stop.signal, config);
	});
	afterEach(() => stop.abort());

	async function take(count: number, events: AsyncIterable<SseEvent>): Promise<SseEvent[]> {
		const taken: SseEvent[] = [];
		for await (const event of events) {
			if (event.event !== 'overview') taken.push(event);
			if (taken.length === count) break;
		}
		return taken;
	}
	const revs = (events: readonly SseEvent[]) => events.map(({ data }) => (data as { rev?: number }).rev);

	it('go on after the last change seen when a watch breaks', async () => {
		const events = take(3, live.events(stop.signal));
		source.bring([put(7), put(8)], broken);
		while (source.asked.length < 2) await new Promise(setImmediate);
		source.bring([put(9)], broken);
		expect(revs(await events)).to.deep.equal([7, 8, 9]);
		expect(source.asked.slice(0, 2)).to.deep.equal([undefined, 9]);
	});

	it('tell pages to read anew when changes were missed for good', async () => {
		const events = take(2, live.events(stop.signal));
		source.bring([put(7)], new MeshError('not_found', 'too old', { details: { oldest: 9 } }));
		expect((await events).map(({ event }) => event)).to.deep.equal(['change', 'reload']);
		while (source.asked.length < 2) await new Promise(setImmediate);
		expect(source.asked[1]).to.equal(undefined);
	});

	it('show a new page the latest changes only', async () => {
		const early = take(3, live.events(stop.signal));
		source.bring([put(1), put(2), put(3)], broken);
		await early;
		expect(revs(await take(2, live.events(stop.signal)))).to.deep.equal([2, 3]);
	});

	it('cut off a page that does not read', async () => {
		const slow = live.events(stop.signal)[Symbol.asyncIterator]();
		await slow.next();
		const fast = take(8, live.events(stop.signal));
		source.bring([1, 2, 3, 4, 5, 6, 7, 8].map(put), broken);
		await fast;
		expect((await slow.next()).done).to.equal(true);
	});
});
