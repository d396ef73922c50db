import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Terminal } from './terminal.ts';
import { changes, type Grid, watchGrid } from './watch.ts';

const titles = ['NAME', 'STATUS', 'AGE', 'HOST'];
const grid = (rows: string[], isWhole = true): Grid => ({ titles, rows: rows.map((row) => row.split(' ')), isWhole });
const seen = (rows: string[]) => changes(grid(rows), new Map()).now;
const linesOf = (before: string[], after: string[], isWhole = true) =>
	changes(grid(after, isWhole), seen(before)).lines.map((line) => line.join(' '));

describe('a watched table', () => {
	it('tells of what is new, changed or gone, and nothing else', () => {
		const before = ['a Running 1s h1', 'b Running 1s h1', 'c Running 1s h1'];
		expect(linesOf(before, ['a Running 9s h1', 'b Failed 9s h1', 'd Pending 0s h2'])).to.deep.equal([
			'b Failed 9s h1',
			'd Pending 0s h2',
			'c gone',
		]);
	});

	it('knows a pod that came back on another host from the one that is gone', () => {
		expect(linesOf(['a Running 1s h1'], ['a Pending 0s h2'])).to.deep.equal(['a Pending 0s h2', 'a gone']);
	});

	it('calls nothing gone while a host is silent, and tells of it when it is known', () => {
		const before = ['a Running 1s h1', 'b Running 1s h2'];
		expect(linesOf(before, ['a Running 2s h1'], false)).to.deep.equal([]);
		const { now } = changes(grid(['a Running 2s h1'], false), seen(before));
		expect(changes(grid(['a Running 3s h1']), now).lines).to.deep.equal([['b', 'gone']]);
	});

	it('is printed once and then line by line, below each other, until it is interrupted', async () => {
		const stop = new AbortController();
		let text = '';
		const out: Terminal = {
			isTty: false,
			hasColour: false,
			columns: () => 80,
			rows: () => 24,
			write: (more) => {
				text += more;
			},
		};
		const later = [grid(['a Running 1s h1']), grid(['a CrashLoopBackOff 2s h1']), grid([])];
		const look = async (): Promise<Grid> => {
			const next = later.shift();
			if (next !== undefined) return next;
			stop.abort();
			return grid([]);
		};
		const error = await watchGrid(grid(['a Pending 0s h1']), look, out, stop.signal).catch((cause: Error) => cause);
		expect(error.name).to.equal('AbortError');
		expect(text).to.equal(
			'NAME   STATUS    AGE   HOST\n' +
				'a      Pending   0s    h1\n' +
				'a      Running   1s    h1\n' +
				'a      CrashLoopBackOff   2s    h1\n' +
				'a      gone\n',
		);
	}).timeout(10_000);
});
