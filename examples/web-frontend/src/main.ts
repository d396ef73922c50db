/** Composition root of web-frontend: the one reader of the command line and the environment. */
import { KvContract } from '@beemesh/example-kv-store/contract';
import { aborted, listen, programLog, runProgram, stopRequested } from '@beemesh/example-kv-store/kit';
import { joinWorkplane } from '@beemesh/sdk';
import { assetRoutes } from './assets.ts';
import { frontendHttp } from './http.ts';
import { Live } from './live.ts';
import { meshSource } from './mesh-source.ts';
import { HELP, readOptions } from './options.ts';
import { remoteStore } from './remote-store.ts';

const HEARTBEAT_MS = 15_000;
const CALL_TIMEOUT_MS = 5000;
/** Shorter than the pod's `terminationGracePeriodSeconds`, with room for leaving the mesh. */
const DRAIN_MS = 5000;
/** Beside the sources as beside the bundle. */
const PUBLIC = new URL('../public/', import.meta.url);

await runProgram('web-frontend', async () => {
	const options = readOptions(process.argv.slice(2), process.env);
	if (options === 'help') {
		process.stdout.write(HELP);
		return;
	}
	const log = programLog('web-frontend');
	const stopping = stopRequested();
	const assets = await assetRoutes(PUBLIC);
	const draining = new AbortController();
	const dev = options.devName === undefined ? {} : { dev: true, workload: options.devName };
	const wp = await joinWorkplane({ ...dev, log, drain: { onSigterm: false } });
	const kv = wp.client(KvContract, { workload: options.store, timeout: CALL_TIMEOUT_MS });
	const live = new Live(meshSource(wp, kv, options.store), draining.signal);
	const parts = { store: remoteStore(kv), live, assets, log, draining: draining.signal, heartbeatMs: HEARTBEAT_MS };
	const server = await listen(frontendHttp(parts), options.http);
	log.info('serving', { url: server.url, replica: wp.self.peer, store: options.store });

	// A signal asks us to stop, or the host does.
	const reason = await Promise.race([stopping, aborted(wp.signal).then(() => 'drained by the host')]);
	log.info('stopping', { reason });
	draining.abort();
	await server.drain(DRAIN_MS);
	await wp.drain({ grace: DRAIN_MS });
	log.info('stopped');
	process.exit(0);
});
