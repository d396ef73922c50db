/**
 * Bounds what peers send on the streams of libp2p's own services, which read as much as comes and ask nobody: bytes per
 * stream, or whatever the service counts. Wrapped around the components that a service is made of.
 */
import type { Connection, Stream } from '@libp2p/interface';
import type { PeerId } from '../../wire/ids.ts';

export interface StreamMeter {
	/** A stream that a peer opened. False: it is reset at once. */
	opened(remote: PeerId): boolean;
	/** Bytes of a stream in either direction of opening; `total` with these. False: the stream is reset. */
	received(remote: PeerId, bytes: number, total: number): boolean;
}

type Handler = (stream: Stream, connection: Connection) => void | Promise<void>;
/** Parts of a node that hand out streams. */
interface StreamSources {
	readonly registrar: { handle(protocol: string, handler: Handler, options?: unknown): Promise<void> };
	readonly connectionManager: { openStream(peer: { toString(): string }, ...rest: unknown[]): Promise<Stream> };
}

/** What the stream classes have and their interface does not say. */
interface Receiver {
	readonly readBufferLength: number;
	onData(data: { readonly byteLength: number }): void;
}

/** The components, with every stream that they hand out metered. */
export function metered<C>(components: C, meter: StreamMeter): C {
	const { registrar, connectionManager } = components as C & StreamSources;
	const meteredRegistrar = overriding(registrar, {
		handle: (protocol: string, handler: Handler, options?: unknown) =>
			registrar.handle(
				protocol,
				(stream, connection) => {
					const remote = connection.remotePeer.toString() as PeerId;
					if (!meter.opened(remote)) return stream.abort(new Error(`too many requests from ${remote}`));
					count(stream, remote, meter);
					return handler(stream, connection);
				},
				options,
			),
	});
	const meteredManager = overriding(connectionManager, {
		async openStream(peer: { toString(): string }, ...rest: unknown[]) {
			const stream = await connectionManager.openStream(peer, ...rest);
			count(stream, peer.toString() as PeerId, meter);
			return stream;
		},
	});
	return overriding(components as C & object, { registrar: meteredRegistrar, connectionManager: meteredManager });
}

function count(stream: Stream, remote: PeerId, meter: StreamMeter): void {
	const receiver = stream as Stream & Receiver;
	const { onData } = receiver;
	// A listener would start the flow before the service listens.
	let total = receiver.readBufferLength;
	receiver.onData = (data) => {
		total += data.byteLength;
		if (meter.received(remote, data.byteLength, total)) onData.call(receiver, data);
		else stream.abort(new Error(`too much at once from ${remote}`));
	};
}

/** The object with some members of another: methods keep the original as `this`, for it may have private members. */
export function overriding<T extends object>(target: T, members: Partial<Record<PropertyKey, unknown>>): T {
	return new Proxy(target, {
		get(original, name) {
			if (name in members) return members[name];
			const value: unknown = Reflect.get(original, name, original);
			return typeof value === 'function' ? value.bind(original) : value;
		},
	});
}
