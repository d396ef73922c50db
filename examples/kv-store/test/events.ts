/** A reader of server-sent events for tests: opens the stream, hands out one event at a time. */
export interface ReceivedEvent {
	readonly id: string | undefined;
	readonly event: string;
	readonly data: Record<string, unknown>;
}

export interface EventReader {
	readonly comments: () => number;
	next(): Promise<ReceivedEvent>;
	/** Resolves when the server ends the stream. */
	ended(): Promise<void>;
	close(): void;
}

export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
	const gone = new AbortController();
	const answer = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: gone.signal });
	if (answer.status !== 200 || answer.body === null) throw new Error(`${url} answered ${answer.status}`);
	let comments = 0;
	const blocks = readBlocks(answer.body);
	const next = async (): Promise<ReceivedEvent | undefined> => {
		for await (const block of { [Symbol.asyncIterator]: () => ({ next: () => blocks.next() }) }) {
			const fields = new Map(
				block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
			);
			if (fields.has('')) comments++;
			const data = fields.get('data');
			if (data === undefined) continue;
			return {
				id: fields.get('id'),
				event: fields.get('event') ?? 'message',
				data: JSON.parse(data) as Record<string, unknown>,
			};
		}
		return undefined;
	};
	return {
		comments: () => comments,
		async next() {
			const event = await next();
			if (event === undefined) throw new Error('the stream ended');
			return event;
		},
		async ended() {
			if ((await next()) !== undefined) throw new Error('an event instead of the end');
		},
		close: () => gone.abort(),
	};
}

async function* readBlocks(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
	const decoder = new TextDecoder();
	let text = '';
	for await (const chunk of body) {
		text += decoder.decode(chunk, { stream: true });
		for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
			yield text.slice(0, end);
			text = text.slice(end + 2);
		}
	}
}
