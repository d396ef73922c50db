/** What the driver of the flood and its children say to each other: one question at a time, one answer each. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { PlaceRequest } from '@beemesh/sdk/api';
import type { MachineId } from '@beemesh/sdk/wire';

export interface Target {
	readonly peer: MachineId;
	readonly addresses: readonly string[];
}

export type ToHost =
	| { readonly type: 'start'; readonly name: string; readonly join: readonly string[]; readonly size: number }
	/** Answered when that many hosts are present. */
	| { readonly type: 'whole' }
	| { readonly type: 'place'; readonly request: PlaceRequest }
	/** Begins a phase. */
	| { readonly type: 'watch' }
	/** Ends a phase: {@link Figures}. */
	| { readonly type: 'figures' };

/** Of one host in one phase. */
export interface Figures {
	readonly rssMaxMiB: number;
	/** Between two firings of a 5 ms timer, these 5 ms included. */
	readonly lagP99Ms: number;
	readonly lagMaxMs: number;
	readonly cpuCores: number;
	readonly present: number;
	readonly heapMiB: number;
}

export type Kind = 'strangers' | 'members';

export type ToRogues =
	/** Makes new rogues, which nobody knows yet. */
	| { readonly type: 'prepare'; readonly kind: Kind; readonly targets: readonly Target[] }
	| { readonly type: 'flood' }
	/** Answered with what was done how often. */
	| { readonly type: 'stop' };

export interface Child<M> {
	readonly process: ChildProcess;
	ask<T>(message: M): Promise<T>;
}

/** `isIdle`: runs when nobody else wants the processor, where the system can do so, and at the lowest priority else. */
export function startChild<M extends object>(file: string, flags: readonly string[], isIdle = false): Child<M> {
	const program = [process.execPath, ...flags, file];
	const command = isIdle ? [...idly(), ...program] : program;
	const child = spawn(command[0] as string, command.slice(1), {
		stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
		serialization: 'advanced',
		// As hostd has it (hostd/src/malloc-arenas.ts).
		env: { ...process.env, MALLOC_ARENA_MAX: '2' },
	});
	child.once('exit', (code) => code === null || code === 0 || process.exit(1));
	return {
		process: child,
		async ask<T>(message: M) {
			const answer = once(child, 'message');
			child.send(message);
			return (await answer)[0] as T;
		},
	};
}

/** Answers each question in turn; ends with its parent. */
export function answer<M>(questions: (message: M) => Promise<unknown>): void {
	process.on('disconnect', () => process.exit(0));
	process.on('message', async (message: M) => {
		// `null`, for undefined is no message.
		process.send?.((await questions(message)) ?? null);
	});
}

function idly(): readonly string[] {
	const hasIdle = spawnSync('chrt', ['-i', '0', 'true'], { stdio: 'ignore' }).status === 0;
	return hasIdle ? ['chrt', '-i', '0'] : ['nice', '-n', '19'];
}
