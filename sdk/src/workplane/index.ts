/** Joining a workload, and what a replica holds after that. */
import { MeshError } from '../errors.ts';
import { connectHost } from './host.ts';
import type { JoinOptions } from './types.ts';
import type { Workplane } from './workplane.ts';

/** After a drain that ends the process, this is left for what the app still has to do. */
const EXIT_AFTER_MS = 1000;

/**
 * Joins this process to its workload. In a pod the host says which (`BEEMESH_SOCKET`); with `dev` it joins other
 * processes of this machine, without a host. Resolves when this replica can serve and be found.
 *
 * Errors: `unavailable` (neither a pod nor `dev`; the host is away), `unauthorized` (what the host or the members say
 * does not hold), `conflict` (another process has this data directory), `deadline`, `cancelled`.
 */
export async function joinWorkplane(options: JoinOptions = {}): Promise<Workplane> {
	const isDev = options.dev !== undefined && options.dev !== false;
	const socket = process.env['BEEMESH_SOCKET'];
	if (!isDev && socket === undefined) {
		throw new MeshError(
			'unavailable',
			'this process is not in a pod (BEEMESH_SOCKET is not set): start it with `beectl apply`, or join with { dev: true }',
		);
	}
	// What only a joining process needs is loaded when it joins: importing the SDK stays cheap.
	const [{ join }, { openLibp2pNetwork }, { dataDirOf }, { fileStores }, { fileIdentity }] = await Promise.all([
		import('./join.ts'),
		import('../discovery/libp2p-network.ts'),
		import('./data-dir.ts'),
		import('./stores.ts'),
		import('./identity-file.ts'),
	]);
	const host = isDev
		? await import('./dev.ts').then(({ devHost }) => devHost(options))
		: await connectHost(socket as string, options.signal);
	try {
		const dataDir = isDev ? options.data : dataDirOf(process.env);
		const stores = dataDir === undefined ? {} : { stores: fileStores(dataDir) };
		// In dev mode the data directory is what outlives a process.
		const privateDir = isDev ? options.data : process.env['BEEMESH_PRIVATE_DIR'];
		const kept = privateDir === undefined ? {} : { identityStore: fileIdentity(privateDir) };
		const workplane = await join({ host, openNetwork: openLibp2pNetwork, options, exit, ...stores, ...kept });
		if (options.drain?.onSigterm !== false) {
			process.once('SIGTERM', () => void workplane.drain({ reason: 'SIGTERM' }).then(() => exit(0)));
		}
		return workplane;
	} catch (error) {
		await host[Symbol.asyncDispose]();
		throw error;
	}
}

/** Ends the process, unless it ends by itself before. */
function exit(code: number): void {
	process.exitCode = code;
	setTimeout(() => process.exit(code), EXIT_AFTER_MS).unref();
}
