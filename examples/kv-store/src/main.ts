/** Composition root of kv-store: the one reader of the command line and the environment. */
import { joinWorkplane } from '@beemesh/sdk';
import { KvContract } from './contract.ts';
import { prepareDataDir } from './data-dir.ts';
import { kvHttp } from './http.ts';
import { aborted, listenEarly, programLog, runProgram } from './kit/index.ts';
import { meshStore } from './mesh-store.ts';
import { HELP, readOptions } from './options.ts';
import { kvService } from './serve.ts';

const HEARTBEAT_MS = 15_000;
/** Shorter than the pod's `terminationGracePeriodSeconds`, with room for leaving the mesh. */
const DRAIN_MS = 4000;

await runProgram('kv-store', async (stop) => {
	const options = readOptions(process.argv.slice(2), process.env);
	if (options === 'help') {
		process.stdout.write(HELP);
		return;
	}
	const log = programLog('kv-store');
	await prepareDataDir(options.dataDir);
	const server = await listenEarly(options.http);
	const dev = options.devName === undefined ? {} : { dev: true, workload: options.devName, data: options.dataDir };
	const wp = await joinWorkplane({ ...dev, log, signal: stop, drain: { onSigterm: false } });
	const { snapshotAfterBytes } = options;
	const store = await meshStore(wp, snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes });
	await wp.serve(KvContract, kvService(store));
	// The host may ask us to leave, too.
	const leaving = AbortSignal.any([stop, wp.signal]);
	server.serve(kvHttp(store, leaving, log, { heartbeatMs: HEARTBEAT_MS }));
	log.info('serving', { url: server.url, slot: wp.self.slot });

	await aborted(leaving);
	log.info('stopping', { reason: stop.reason ?? 'asked by the host' });
	await server.drain(DRAIN_MS);
	await wp.drain({ grace: DRAIN_MS });
});
