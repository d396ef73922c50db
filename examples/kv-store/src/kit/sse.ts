/**
 * Server-sent events: one long answer of small text events. Comments keep it alive through proxies and let the server
 * notice a dead client; a client that reads too slowly pauses the source instead of filling memory.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

export interface SseEvent {
	/** What a reconnecting client sends back as `Last-Event-ID`. */
	readonly id?: string;
	readonly event: string;
	readonly data: unknown;
}

export interface SseOptions {
	readonly signal: AbortSignal;
	/** Milliseconds between comments. */
	readonly heartbeatMs: number;
	/** How long a browser waits before it connects again, milliseconds. */
	readonly retryMs?: number;
}

/** Sends `events` until they end, `signal` aborts or the client goes. */
export async function sendEvents(
	res: ServerResponse,
	events: AsyncIterable<SseEvent>,
	{ signal, heartbeatMs, retryMs = 1000 }: SseOptions,
): Promise<void> {
	res.writeHead(200, {
		'content-type': 'text/event-stream; charset=utf-8',
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
		'x-accel-buffering': 'no',
	});
	if (res.req.method === 'HEAD') {
		res.end();
		return;
	}
	res.write(`retry: ${retryMs}\n\n`);
	const heartbeat = setInterval(() => res.write(': still here\n\n'), heartbeatMs);
	try {
		for await (const event of events) {
			if (res.destroyed || signal.aborted) break;
			if (!res.write(format(event))) await once(res, 'drain', { signal });
		}
	} catch (error) {
		// The client hung up, or the server drains: both are ordinary ends of a stream.
		if (!signal.aborted && !res.destroyed) throw error;
	} finally {
		clearInterval(heartbeat);
	}
	res.end();
}

function format({ id, event, data }: SseEvent): string {
	// JSON has no raw line breaks, so one data line is enough.
	return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
