/** The way to the entry host: one session over its unix socket. */
import { HostApi } from '@beemesh/hostd/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { type Caller, dialUnix, openSession } from '@beemesh/sdk/streams';

export type HostCaller = Caller<(typeof HostApi)['methods']>;

export interface HostClient {
	readonly api: HostCaller;
	close(): Promise<void>;
}

export async function connectHost(socket: string, signal: AbortSignal): Promise<HostClient> {
	try {
		const stream = await dialUnix(socket, { signal });
		const session = await openSession(stream, {
			remote: 'local',
			initiator: true,
			exchange: { hello: () => new Uint8Array(), admit: () => undefined },
		});
		return { api: session.caller(HostApi), close: () => session.close() };
	} catch (cause) {
		if (!isMeshError(cause, 'unavailable')) throw cause;
		throw new MeshError(
			'unavailable',
			`no host answers at ${socket}; start one with \`hostd\`, or name its socket with --host or BEEMESH_HOST`,
			{ cause },
		);
	}
}
