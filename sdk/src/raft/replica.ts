/**
 * The replicated state of a group on one member: the app's state machine inside the table of sessions. Applies
 * entries and nothing else, so that equal logs make equal replicas; or takes over a snapshot that another wrote.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isMeshError, MeshError } from '../errors.ts';
import { MalformedBytes } from './codec/bytes.ts';
import { unpackValue } from './codec/values.ts';
import type { Entry, MemberId } from './core/index.ts';
import type { Machine } from './group.types.ts';
import { learnContexts } from './members.ts';
import { type SessionLimits, type SessionOutcome, SessionTable } from './sessions.ts';
import { readReplica, writeReplica } from './snapshot-content.ts';

/** What `apply` returned, or what it threw. */
export type CommandResult<R> =
	| { readonly ok: true; readonly value: R }
	| { readonly ok: false; readonly error: MeshError };

export class ReplicaState<S, C extends StandardSchemaV1, R> {
	appliedIndex = 0;
	appliedTerm = 0;
	contexts = new Map<MemberId, Uint8Array>();
	private readonly machine: Machine<S, C, R>;
	private readonly limits: SessionLimits;
	private current: S;
	private table: SessionTable<CommandResult<R>>;

	constructor(machine: Machine<S, C, R>, limits: SessionLimits) {
		this.machine = machine;
		this.limits = limits;
		this.table = new SessionTable(limits);
		this.current = machine.init();
	}

	get state(): S {
		return this.current;
	}

	get sessions(): SessionTable<CommandResult<R>> {
		return this.table;
	}

	/** The outcome for whoever proposed it; undefined for entries that are no commands. */
	apply(entry: Entry): SessionOutcome<CommandResult<R>> | undefined {
		this.appliedIndex = entry.index;
		this.appliedTerm = entry.term;
		try {
			if (entry.type === 'conf-change') {
				learnContexts(this.contexts, entry);
				return undefined;
			}
			// A new leader's no-op.
			if (entry.data.length === 0) return undefined;
			return this.table.apply(entry.index, entry.data, (payload, nowMs) => this.run(payload, entry.index, nowMs));
		} catch (error) {
			// Every replica has the same bytes and skips them alike.
			if (error instanceof MalformedBytes) return undefined;
			throw error;
		}
	}

	/** All of it as of now; what is applied while the bytes are read does not show in them. */
	snapshot(): AsyncIterable<Uint8Array> {
		const { contexts, table } = this;
		return writeReplica({ contexts, sessions: table.dump(plainResult) }, this.machine.snapshot(this.current));
	}

	/** Takes over what another replica, or this one in a former life, wrote. Nothing changes before all is read. */
	async restore(
		at: { readonly index: number; readonly term: number },
		bytes: AsyncIterable<Uint8Array>,
	): Promise<void> {
		const { head, content, finish } = await readReplica<PlainResult>(bytes);
		const state = await this.machine.restore(content);
		await finish();
		this.current = state;
		this.contexts = new Map(head.contexts);
		this.table = SessionTable.restore(head.sessions, this.limits, reviveResult<R>);
		this.appliedIndex = at.index;
		this.appliedTerm = at.term;
	}

	private run(payload: Uint8Array, index: number, now: number): CommandResult<R> {
		try {
			const command = unpackValue(payload) as StandardSchemaV1.InferOutput<C>;
			return { ok: true, value: this.machine.apply(this.current, command, { index: BigInt(index), now }) };
		} catch (cause) {
			if (isMeshError(cause)) return { ok: false, error: cause };
			const why = cause instanceof Error ? cause.message : String(cause);
			const message = `the state machine failed on the command at index ${index}: ${why}`;
			return { ok: false, error: new MeshError('internal', message, { cause, retryable: false }) };
		}
	}
}

type PlainError = Pick<MeshError, 'code' | 'message' | 'retryable' | 'applied' | 'details'>;
type PlainResult = { readonly value: unknown } | { readonly error: PlainError };

function plainResult(result: CommandResult<unknown>): PlainResult {
	if (result.ok) return { value: result.value };
	const { code, message, retryable, applied, details } = result.error;
	return { error: { code, message, retryable, applied, details } };
}

function reviveResult<R>(plain: PlainResult): CommandResult<R> {
	if (!('error' in plain)) return { ok: true, value: plain.value as R };
	const { code, message, ...options } = plain.error;
	return { ok: false, error: new MeshError(code, message, options) };
}
