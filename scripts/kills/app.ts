/**
 * The replica that the campaign kills: joins, opens a replicated map where its workload has state, and writes down what
 * it sees of itself and of the others. Usage: main.mjs JOURNAL CACHE_DIR (deployment|statefulset)
 */
import { appendFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';

const [journal = '', cache = '', kind = ''] = process.argv.slice(2);
// Before the SDK is loaded: hundreds of replicas start from the same code.
enableCompileCache(cache);
const [{ joinWorkplane }, { createLogger }, v] = await Promise.all([
	import('@beemesh/sdk'),
	import('@beemesh/sdk/telemetry'),
	import('valibot'),
]);

const READY_EVERY_MS = 50;

const log = createLogger({
	level: 'info',
	format: 'json',
	// One short write at the file's end: lines of several processes do not mix.
	sink: (line) => appendFileSync(journal, `${line}\n`),
	nowMs: Date.now,
	// The supervising shell leads the container's process group.
	fields: { pid: process.pid, group: process.ppid, socket: process.env['BEEMESH_SOCKET'] ?? '' },
});
const workplane = await joinWorkplane({ log });
const { slot, gen, workload, peer } = workplane.self;
log.info('campaign: runs', { workload, slot, gen, replicaId: peer });
workplane.on('member', ({ type, replica }) => {
	if (type === 'removed' && replica.workload === workload)
		log.info('campaign: lost', { lost: replica.peer, slot: replica.slot, gen: replica.gen });
});
if (kind === 'statefulset') await workplane.kv('state', v.string());

let wasReady = false;
setInterval(() => {
	const { ready } = workplane.self;
	if (ready !== wasReady) log.info(ready ? 'campaign: ready' : 'campaign: not ready', { slot, gen });
	wasReady = ready;
}, READY_EVERY_MS);
