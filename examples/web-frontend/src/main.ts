/** Composition root of web-frontend: the one reader of the command line and the environment. */
import { KvContract } from '@beemesh/example-kv-store/contract';
import { aborted, listenEarly, programLog, runProgram } from '@beemesh/example-kv-store/kit';
import { joinWorkplane } from '@beemesh/sdk';
import { assetRoutes } from './assets.ts';
import { frontendHttp } from './http.ts';
import { Live } from './live.ts';
import { meshSource } from './mesh-source.ts';
import { HELP, readOptions } from './options.ts';
import { remoteStore } from './remote-store.ts';

const HEARTBEAT_MS = 15_000;
/**
 * Two tries of the two seconds that a replica without a majority looks for one, and some room: so that a page says
 * "no majority" instead of "perhaps". The second try goes to another replica.
 */
const CALLS = { timeout: 5000, retry: { attempts: 2 } } as const;
/** Shorter than the pod's `terminationGracePeriodSeconds`, with room for leaving the mesh. */
const DRAIN_MS = 4000;
/** Beside the sources as beside the bundle. */
const PUBLIC = new URL('../public/', import.meta.url);

await runProgram('web-frontend', async (stop) => {
	const options = readOptions(process.argv.slice(2), process.env);
	if (options === 'help') {
		process.stdout.write(HELP);
		return;
	}
	const log = programLog('web-frontend');
	const assets = await assetRoutes(PUBLIC);
	const server = await listenEarly(options.http);
	const dev = options.devName === undefined ? {} : { dev: true, workload: options.devName };
	const wp = await joinWorkplane({ ...dev, log, signal: stop, drain: { onSigterm: false } });
	const kv = wp.client(KvContract, { workload: options.store, ...CALLS });
	// The host may ask us to leave, too.
	const leaving = AbortSignal.any([stop, wp.signal]);
	const live = new Live(meshSource(wp, kv, options.store), leaving);
	const parts = { store: remoteStore(kv), live, assets, log, draining: leaving, heartbeatMs: HEARTBEAT_MS };
	server.serve(frontendHttp(parts));
	log.info('serving', { url: server.url, store: options.store });

	await aborted(leaving);
	log.info('stopping', { reason: stop.reason ?? 'asked by the host' });
	await server.drain(DRAIN_MS);
	await wp.drain({ grace: DRAIN_MS });
});
