/** Composition root of kv-store: the one reader of the command line and the environment. */
import { joinWorkplane } from '@beemesh/sdk';
import { KvContract } from './contract.ts';
import { prepareDataDir } from './data-dir.ts';
import { kvHttp } from './http.ts';
import { aborted, listen, programLog, runProgram, stopRequested } from './kit/index.ts';
import { meshStore } from './mesh-store.ts';
import { HELP, readOptions } from './options.ts';
import { kvService } from './serve.ts';

const HEARTBEAT_MS = 15_000;
/** Shorter than the pod's `terminationGracePeriodSeconds`, with room for leaving the mesh. */
const DRAIN_MS = 5000;

await runProgram('kv-store', async () => {
	const options = readOptions(process.argv.slice(2), process.env);
	if (options === 'help') {
		process.stdout.write(HELP);
		return;
	}
	const log = programLog('kv-store');
	const stopping = stopRequested();
	await prepareDataDir(options.dataDir);
	const draining = new AbortController();
	const dev = options.devName === undefined ? {} : { dev: true, workload: options.devName, data: options.dataDir };
	const wp = await joinWorkplane({ ...dev, log, drain: { onSigterm: false } });
	const store = await meshStore(wp);
	await wp.serve(KvContract, kvService(store));
	const server = await listen(kvHttp(store, draining.signal, log, { heartbeatMs: HEARTBEAT_MS }), options.http);
	log.info('serving', { url: server.url, replica: wp.self.peer, slot: wp.self.slot });

	// A signal asks us to stop, or the host does.
	const reason = await Promise.race([stopping, aborted(wp.signal).then(() => 'drained by the host')]);
	log.info('stopping', { reason });
	draining.abort();
	await server.drain(DRAIN_MS);
	await wp.drain({ grace: DRAIN_MS });
	log.info('stopped');
	process.exit(0);
});
