/** A lane in a process of its own, beside this one: what it prints is held back until it is asked for. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Counts } from './lane.ts';

export interface LaneBeside {
	/** Prints what was held back, then the rest as it comes. Fails when the process ended without having counted. */
	show(): Promise<Counts>;
}

/** Runs `script` with these arguments; it answers by {@link tell}. */
export function startBeside(script: string, args: readonly string[]): LaneBeside {
	const child = fork(script, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
	let held: Buffer[] | undefined = [];
	child.stdout?.on('data', (chunk: Buffer) => {
		if (held === undefined) process.stdout.write(chunk);
		else held.push(chunk);
	});
	let counts: Counts | undefined;
	child.once('message', (message) => {
		counts = message as Counts;
	});
	const closed = once(child, 'close');
	return {
		async show() {
			for (const chunk of held ?? []) process.stdout.write(chunk);
			held = undefined;
			const [code, signal] = await closed;
			if (counts === undefined) throw new Error(`a lane of tests ended early: ${signal ?? `exit code ${code}`}`);
			return counts;
		},
	};
}

/** Whether this process is such a lane. */
export const isBeside = process.send !== undefined;

/** Ends this process with its answer. */
export function tell(counts: Counts): void {
	process.send?.(counts, undefined, undefined, () => process.exit());
}

// Nobody is left to tell.
if (isBeside) process.on('disconnect', () => process.exit(1));
