import type { LogOptions, Runtime } from './runtime.ts';

/** Holds what Node prints of an uncaught error: the line, the message, the stack. */
const LAST_LINES = 20;

/** The last lines that a pod (or one container of it) wrote, for hostd's own log; none where it never had a container. */
export async function lastLines(runtime: Runtime, podId: string, options: LogOptions = {}): Promise<string[]> {
	const lines: string[] = [];
	try {
		for await (const { line } of runtime.logs(podId, { tail: LAST_LINES, ...options })) lines.push(line);
	} catch {
		// There is no container, or the runtime does not answer: hostd's log has said or will say so.
	}
	return lines;
}
