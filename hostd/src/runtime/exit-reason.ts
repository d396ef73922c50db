/** The reason shown for an exit code: one rule for all runtimes. Pure. */
import { constants } from 'node:os';

/** Exit code of a process whose end nobody saw. */
export const EXIT_CODE_UNKNOWN = 255;

const SIGNAL_NAMES = new Map<number, string>(
	Object.entries(constants.signals).map(([name, number]) => [number, name] as const),
);

/** `Completed`, `Error`, or the name of the signal that a code above 128 stands for. */
export function exitReason(exitCode: number): string {
	if (exitCode === 0) return 'Completed';
	return (exitCode > 128 && SIGNAL_NAMES.get(exitCode - 128)) || 'Error';
}
