/** Byte streams for tests: a pair in memory, and what somebody on the way may do to one. */
import { createPeerKey } from '@beemesh/sdk/identity';
import type { ByteStream } from '@beemesh/sdk/streams';
import { createMemoryNetwork } from '@beemesh/sdk/testing';

/** Both ends of one stream. */
export async function streamPair(): Promise<[ByteStream, ByteStream]> {
	const network = createMemoryNetwork();
	const [a, b] = [network.join(createPeerKey().peerId), network.join(createPeerKey().peerId)];
	const accepted = Promise.withResolvers<ByteStream>();
	b.handle('/test', (stream) => accepted.resolve(stream));
	return [await a.dial(b.peerId, '/test', { addresses: b.addresses() }), await accepted.promise];
}

export type Direction = 'out' | 'in';

/** What goes on in place of a chunk. */
export type Tamper = (chunk: Uint8Array, direction: Direction) => readonly Uint8Array[];

/** The stream as somebody sees it who carries it: every chunk each way passes through `tamper`. */
export function tapped(stream: ByteStream, tamper: Tamper): ByteStream {
	return {
		write: (chunk) => {
			let canSendMore = true;
			for (const each of tamper(chunk, 'out')) canSendMore = stream.write(each);
			return canSendMore;
		},
		drained: () => stream.drained(),
		source: {
			async *[Symbol.asyncIterator]() {
				for await (const chunk of stream.source) yield* tamper(chunk, 'in');
			},
		},
		close: () => stream.close(),
		abort: (error) => stream.abort(error),
		onClose: (listener) => stream.onClose(listener),
	};
}
