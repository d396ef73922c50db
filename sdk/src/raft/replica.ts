/**
 * The replicated state of a group on one member: the app's state machine inside the table of sessions. Applies
 * entries and nothing else, so that equal logs make equal replicas.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isMeshError, MeshError } from '../errors.ts';
import { MalformedBytes } from './codec/bytes.ts';
import { unpackValue } from './codec/values.ts';
import type { Entry, MemberId } from './core/index.ts';
import type { Machine } from './group.types.ts';
import { learnContexts } from './members.ts';
import { type SessionLimits, type SessionOutcome, SessionTable } from './sessions.ts';

/** What `apply` returned, or what it threw. */
export type CommandResult<R> =
	| { readonly ok: true; readonly value: R }
	| { readonly ok: false; readonly error: MeshError };

export class ReplicaState<S, C extends StandardSchemaV1, R> {
	readonly state: S;
	appliedIndex = 0;
	readonly contexts = new Map<MemberId, Uint8Array>();
	private readonly machine: Machine<S, C, R>;
	private readonly sessions: SessionTable<CommandResult<R>>;

	constructor(machine: Machine<S, C, R>, limits: SessionLimits) {
		this.machine = machine;
		this.sessions = new SessionTable(limits);
		this.state = machine.init();
	}

	/** The outcome for whoever proposed it; undefined for entries that are no commands. */
	apply(entry: Entry): SessionOutcome<CommandResult<R>> | undefined {
		this.appliedIndex = entry.index;
		try {
			if (entry.type === 'conf-change') {
				learnContexts(this.contexts, entry);
				return undefined;
			}
			// A new leader's no-op.
			if (entry.data.length === 0) return undefined;
			return this.sessions.apply(entry.index, entry.data, (payload, nowMs) => this.run(payload, entry.index, nowMs));
		} catch (error) {
			// Every replica has the same bytes and skips them alike.
			if (error instanceof MalformedBytes) return undefined;
			throw error;
		}
	}

	private run(payload: Uint8Array, index: number, now: number): CommandResult<R> {
		try {
			const command = unpackValue(payload) as StandardSchemaV1.InferOutput<C>;
			return { ok: true, value: this.machine.apply(this.state, command, { index: BigInt(index), now }) };
		} catch (cause) {
			if (isMeshError(cause)) return { ok: false, error: cause };
			const why = cause instanceof Error ? cause.message : String(cause);
			const message = `the state machine failed on the command at index ${index}: ${why}`;
			return { ok: false, error: new MeshError('internal', message, { cause, retryable: false }) };
		}
	}
}
