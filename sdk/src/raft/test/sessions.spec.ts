import { expect } from 'chai';
import { describe, it } from 'mocha';
import { encodeCommand, SessionTable, stamped } from '../sessions.ts';

const LIMITS = { sessionTtlMs: 1_000, sessionsMax: 3 };

function table(): {
	readonly open: (index: number, nowMs?: number) => void;
	readonly command: (options: {
		session: number;
		sequence: number;
		ackedBelow?: number;
		callerId?: string;
		nowMs?: number;
	}) => string;
	readonly runs: number[];
	readonly sessions: SessionTable<number>;
} {
	const sessions = new SessionTable<number>(LIMITS);
	const runs: number[] = [];
	let index = 1000;
	return {
		sessions,
		runs,
		open: (at, nowMs = 0) => {
			sessions.apply(at, stamped(encodeCommand({ kind: 'open-session', nonce: 7 }), nowMs), () =>
				expect.fail('no command'),
			);
		},
		command: ({ session, sequence, ackedBelow = 1, callerId = '', nowMs = 0 }) => {
			const payload = new Uint8Array([sequence]);
			const bytes = encodeCommand({ kind: 'command', session, sequence, ackedBelow, callerId, payload });
			const outcome = sessions.apply(index++, stamped(bytes, nowMs), ([first]) => runs.push(first as number));
			return outcome.kind === 'result' ? `${outcome.isRepeat ? 'again' : 'new'} ${outcome.result}` : outcome.kind;
		},
	};
}

describe('client sessions (thesis §6.3)', () => {
	it('run a command once and give a repeat the first result', () => {
		const { open, command, runs } = table();
		open(1);
		expect(command({ session: 1, sequence: 1 })).to.equal('new 1');
		expect(command({ session: 1, sequence: 2 })).to.equal('new 2');
		expect(command({ session: 1, sequence: 1 })).to.equal('again 1');
		expect(runs).to.deep.equal([1, 2]);
	});

	it('run commands that overtook each other', () => {
		const { open, command, runs } = table();
		open(1);
		for (const sequence of [3, 1, 2, 3, 1]) command({ session: 1, sequence });
		expect(runs).to.deep.equal([3, 1, 2]);
	});

	it('never run a late copy of what was answered or given up', () => {
		const { open, command, runs } = table();
		open(1);
		command({ session: 1, sequence: 5, ackedBelow: 5 });
		expect(command({ session: 1, sequence: 4 })).to.equal('forgotten');
		expect(runs).to.deep.equal([5]);
	});

	it('keep the results of what is not acknowledged, though something before it is', () => {
		const { open, command, runs } = table();
		open(1);
		for (const sequence of [1, 2, 3]) command({ session: 1, sequence });
		command({ session: 1, sequence: 4, ackedBelow: 2 });
		expect(command({ session: 1, sequence: 3 })).to.equal('again 3');
		expect(runs).to.deep.equal([1, 2, 3, 4]);
	});

	it('classic mistake: the session table not in the snapshot', () => {
		const { open, command, sessions } = table();
		open(1);
		command({ session: 1, sequence: 1, callerId: 'x' });
		const restored = SessionTable.restore(
			sessions.dump((result) => result),
			LIMITS,
			(result) => result,
		);
		expect(restored.resultOf(1, 1)).to.deep.equal({ result: 1 });
		expect(restored.nowMs).to.equal(sessions.nowMs);
		expect(restored.dump((result) => result)).to.deep.equal(sessions.dump((result) => result));
	});

	it('refuse an unknown session instead of running twice', () => {
		const { command, runs } = table();
		expect(command({ session: 9, sequence: 1 })).to.equal('no-session');
		expect(runs).to.deep.equal([]);
	});

	it('are stamped in a copy: the original, which may be a Buffer that the log holds already, stays as it was', () => {
		const original = Buffer.from(encodeCommand({ kind: 'open-session', nonce: 7 }));
		const before = Buffer.from(original);
		expect(stamped(original, 5_000)).not.to.deep.equal(new Uint8Array(before));
		expect(original).to.deep.equal(before);
	});

	it('expire by log time, which never goes back', () => {
		const { open, command, sessions } = table();
		open(1, 5_000);
		expect(command({ session: 1, sequence: 1, nowMs: 4_000 })).to.equal('new 1');
		expect(sessions.nowMs).to.equal(5_000);
		expect(command({ session: 1, sequence: 2, nowMs: 6_000 })).to.equal('new 2');
		expect(command({ session: 1, sequence: 3, nowMs: 7_001 })).to.equal('no-session');
	});

	it('drop the longest silent beyond their number', () => {
		const { open, command, sessions } = table();
		for (const index of [1, 2, 3]) open(index);
		command({ session: 1, sequence: 1 });
		open(4);
		expect(sessions.sessionCount).to.equal(3);
		expect(command({ session: 2, sequence: 1 })).to.equal('no-session');
		expect(command({ session: 1, sequence: 2 })).to.equal('new 2');
	});

	it('run a command with a caller’s id once for all sessions, until it expires', () => {
		const { open, command, runs } = table();
		open(1);
		open(2);
		expect(command({ session: 1, sequence: 1, callerId: 'x' })).to.equal('new 1');
		expect(command({ session: 2, sequence: 9, callerId: 'x' })).to.equal('new 1');
		expect(runs).to.deep.equal([1]);
		open(3, 2_000);
		command({ session: 3, sequence: 4, callerId: 'x', nowMs: 2_000 });
		expect(runs).to.deep.equal([1, 4]);
	});
});
