/**
 * Exactly-once on top of a log that may hold a command twice (thesis §6.3). Part of the replicated state and pure:
 * every replica comes to the same answer from the same entries.
 *
 * A process opens a session with an entry of its own; the session's id is that entry's index, so it is unique. Its
 * commands carry a sequence number, and `ackedBelow`: everything below has been answered or given up, so results up
 * to there are forgotten and late copies are ignored. A command may carry an id given by the caller instead, which
 * makes it apply once whichever process repeats it.
 *
 * Time is log time: the leader stamps entries, and it never goes back. Sessions silent for longer than the TTL, and
 * the longest silent beyond the maximum, are dropped; a command of a dropped session is refused, never applied.
 */
import { copyOf } from '../wire/bytes.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './codec/bytes.ts';

export type LoggedCommand =
	| { readonly kind: 'open-session'; readonly nonce: number }
	| {
			readonly kind: 'command';
			readonly session: number;
			readonly sequence: number;
			readonly ackedBelow: number;
			/** Empty for none. */
			readonly callerId: string;
			readonly payload: Uint8Array;
	  };

const KIND_OPEN = 1;
const KIND_COMMAND = 2;
const STAMP_AT = 1;
const STAMP_BYTES = 8;
const utf8 = new TextEncoder();
const text = new TextDecoder();

export function encodeCommand(command: LoggedCommand): Uint8Array {
	const writer = new ByteWriter(64 + (command.kind === 'command' ? command.payload.length : 0));
	writer.u8(command.kind === 'command' ? KIND_COMMAND : KIND_OPEN);
	writer.u53(0);
	if (command.kind === 'open-session') writer.u53(command.nonce);
	else {
		writer.u53(command.session);
		writer.u53(command.sequence);
		writer.u53(command.ackedBelow);
		writer.bytes(utf8.encode(command.callerId));
		writer.bytes(command.payload);
	}
	return writer.take();
}

/** A copy with the leader's time in it. The original may lie in a log already, so it is never written to. */
export function stamped(bytes: Uint8Array, wallMs: number): Uint8Array {
	const copy = copyOf(bytes);
	const writer = new ByteWriter(STAMP_BYTES);
	writer.u53(Math.max(0, Math.floor(wallMs)));
	copy.set(writer.view(), STAMP_AT);
	return copy;
}

/** Throws `MalformedBytes`. */
export function decodeCommand(bytes: Uint8Array): { readonly wallMs: number; readonly command: LoggedCommand } {
	const reader = new ByteReader(bytes);
	const kind = reader.u8();
	const wallMs = reader.u53();
	let command: LoggedCommand;
	if (kind === KIND_OPEN) command = { kind: 'open-session', nonce: reader.u53() };
	else if (kind === KIND_COMMAND) {
		command = {
			kind: 'command',
			session: reader.u53(),
			sequence: reader.u53(),
			ackedBelow: reader.u53(),
			callerId: text.decode(reader.bytes()),
			payload: reader.bytes(),
		};
	} else throw new MalformedBytes(`log entry of kind ${kind}`);
	reader.finish();
	return { wallMs, command };
}

export type SessionOutcome<R> =
	| { readonly kind: 'opened'; readonly nonce: number; readonly session: number }
	| {
			readonly kind: 'result';
			readonly session: number;
			readonly sequence: number;
			readonly result: R;
			readonly isRepeat: boolean;
	  }
	/** Answered or given up before; nobody waits for it. */
	| { readonly kind: 'forgotten' }
	/** The session is unknown: dropped, or never opened. The command was not applied. */
	| { readonly kind: 'no-session'; readonly session: number; readonly sequence: number };

interface Session<R> {
	ackedBelow: number;
	lastUsedMs: number;
	readonly results: Map<number, R>;
}

interface KnownCall<R> {
	readonly atMs: number;
	readonly result: R;
}

export interface SessionLimits {
	readonly sessionTtlMs: number;
	readonly sessionsMax: number;
}

export interface DumpedSessions<T> {
	readonly timeMs: number;
	readonly sessions: readonly (readonly [
		id: number,
		ackedBelow: number,
		lastUsedMs: number,
		results: readonly (readonly [sequence: number, result: T])[],
	])[];
	readonly calls: readonly (readonly [id: string, atMs: number, result: T])[];
}

export class SessionTable<R> {
	private readonly limits: SessionLimits;
	/** Both in order of last use. */
	private readonly sessions = new Map<number, Session<R>>();
	private readonly calls = new Map<string, KnownCall<R>>();
	private timeMs = 0;

	constructor(limits: SessionLimits) {
		this.limits = limits;
	}

	/** Log time: the latest stamp of any entry so far. */
	get nowMs(): number {
		return this.timeMs;
	}

	get sessionCount(): number {
		return this.sessions.size;
	}

	has(session: number): boolean {
		return this.sessions.has(session);
	}

	/** The result of a command that was applied and not yet forgotten, in a box. */
	resultOf(session: number, sequence: number): { readonly result: R } | undefined {
		const results = this.sessions.get(session)?.results;
		return results?.has(sequence) ? { result: results.get(sequence) as R } : undefined;
	}

	/** Everything, as plain data, in order of last use. */
	dump<T>(plain: (result: R) => T): DumpedSessions<T> {
		return {
			timeMs: this.timeMs,
			sessions: [...this.sessions].map(([id, { ackedBelow, lastUsedMs, results }]) => [
				id,
				ackedBelow,
				lastUsedMs,
				[...results].map(([sequence, result]) => [sequence, plain(result)] as const),
			]),
			calls: [...this.calls].map(([id, { atMs, result }]) => [id, atMs, plain(result)]),
		};
	}

	/** A table that goes on where the dumped one stood. */
	static restore<R, T>(dumped: DumpedSessions<T>, limits: SessionLimits, revive: (plain: T) => R): SessionTable<R> {
		const table = new SessionTable<R>(limits);
		table.timeMs = dumped.timeMs;
		for (const [id, ackedBelow, lastUsedMs, results] of dumped.sessions) {
			const revived = results.map(([sequence, result]) => [sequence, revive(result)] as const);
			table.sessions.set(id, { ackedBelow, lastUsedMs, results: new Map(revived) });
		}
		for (const [id, atMs, result] of dumped.calls) table.calls.set(id, { atMs, result: revive(result) });
		return table;
	}

	/** Takes in one entry. `run` is the app's state machine; it is called at most once per command. */
	apply(index: number, bytes: Uint8Array, run: (payload: Uint8Array, nowMs: number) => R): SessionOutcome<R> {
		const { wallMs, command } = decodeCommand(bytes);
		this.timeMs = Math.max(this.timeMs, wallMs);
		this.expire();
		if (command.kind === 'open-session') {
			this.sessions.set(index, { ackedBelow: 1, lastUsedMs: this.timeMs, results: new Map() });
			this.dropBeyondMax(this.sessions);
			return { kind: 'opened', nonce: command.nonce, session: index };
		}
		const { session: id, sequence, ackedBelow, callerId, payload } = command;
		const session = this.sessions.get(id);
		if (session === undefined) return { kind: 'no-session', session: id, sequence };
		this.touch(id, session);
		if (sequence < session.ackedBelow) return { kind: 'forgotten' };
		const isRepeat = session.results.has(sequence);
		const result = isRepeat ? (session.results.get(sequence) as R) : this.runOnce(callerId, payload, run);
		session.results.set(sequence, result);
		forgetBelow(session, ackedBelow);
		return { kind: 'result', session: id, sequence, result, isRepeat };
	}

	private runOnce(callerId: string, payload: Uint8Array, run: (payload: Uint8Array, nowMs: number) => R): R {
		if (callerId === '') return run(payload, this.timeMs);
		const known = this.calls.get(callerId);
		const result = known === undefined ? run(payload, this.timeMs) : known.result;
		this.calls.delete(callerId);
		this.calls.set(callerId, { atMs: this.timeMs, result });
		this.dropBeyondMax(this.calls);
		return result;
	}

	private touch(id: number, session: Session<R>): void {
		session.lastUsedMs = this.timeMs;
		this.sessions.delete(id);
		this.sessions.set(id, session);
	}

	private expire(): void {
		const beforeMs = this.timeMs - this.limits.sessionTtlMs;
		for (const [id, { lastUsedMs }] of this.sessions) {
			if (lastUsedMs >= beforeMs) break;
			this.sessions.delete(id);
		}
		for (const [id, { atMs }] of this.calls) {
			if (atMs >= beforeMs) break;
			this.calls.delete(id);
		}
	}

	private dropBeyondMax(map: Map<unknown, unknown>): void {
		for (const key of map.keys()) {
			if (map.size <= this.limits.sessionsMax) return;
			map.delete(key);
		}
	}
}

/** Numbers arrive nearly in order. One that stands behind a higher one is forgotten when that one is. */
function forgetBelow<R>(session: Session<R>, ackedBelow: number): void {
	if (ackedBelow <= session.ackedBelow) return;
	session.ackedBelow = ackedBelow;
	for (const sequence of session.results.keys()) {
		if (sequence >= ackedBelow) return;
		session.results.delete(sequence);
	}
}
