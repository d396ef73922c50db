/** A container's log as an async iterable: what is kept, then what comes, until the container ends. */
import type { LogLine, LogOptions } from '../runtime.ts';
import type { ProcessContainer } from './process-container.ts';

/** Lines that wait for a slow reader; beyond this the oldest are dropped, as a container must never wait for it. */
const WAITING_LINES_MAX = 10_000;
const END_CHECK_MS = 200;

export async function* followLog(container: ProcessContainer, options: LogOptions): AsyncGenerator<LogLine> {
	container.log.pump();
	const waiting = container.log.read(options.tail);
	if (!options.follow) {
		yield* waiting;
		return;
	}
	let wake = () => {};
	// Nothing runs between reading and subscribing, so no line is missed or seen twice.
	using _subscription = container.log.subscribe((line) => {
		if (waiting.length >= WAITING_LINES_MAX) waiting.shift();
		waiting.push(line);
		wake();
	});
	const onAbort = () => wake();
	options.signal?.addEventListener('abort', onAbort);
	try {
		for (;;) {
			for (let line = waiting.shift(); line; line = waiting.shift()) {
				if (options.signal?.aborted) return;
				yield line;
			}
			if (options.signal?.aborted || container.processGroup === undefined) return;
			await new Promise<void>((resolve) => {
				wake = resolve;
				void container.exited(END_CHECK_MS).then(() => resolve());
			});
		}
	} finally {
		options.signal?.removeEventListener('abort', onAbort);
	}
}
