/** One honest host as a process of its own: mesh node and scheduler, which places what it is told to and watches itself. */
import '../../hostd/src/young-generation.ts';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startHost, whenHosts } from '../../hostd/src/mesh/test/host.ts';
import { type SchedulerHost, startScheduler } from '../../hostd/src/scheduler/test/cluster.ts';
import { answer, type Figures, type Target, type ToHost } from './child.ts';

const SAMPLE_MS = 200;
const PLACE_MS = 20_000;
const MIB = 2 ** 20;

let size = 0;
let started: SchedulerHost | undefined;
let figuresOf: (host: SchedulerHost) => Figures = watch();

answer<ToHost>(async (message) => {
	if (message.type === 'start') return start(message);
	if (started === undefined) throw new Error('the first message starts the host');
	switch (message.type) {
		case 'whole':
			return whenHosts(started.mesh, (present) => present.length === size);
		case 'place': {
			const startMs = performance.now();
			for await (const event of started.scheduler.place(message.request, AbortSignal.timeout(PLACE_MS))) {
				if (event.type === 'awarded') return performance.now() - startMs;
			}
			throw new Error('a placement ended without an award');
		}
		case 'watch':
			figuresOf = watch();
			return undefined;
		case 'figures':
			return figuresOf(started);
	}
});

async function start({ name, join, size: hosts }: Extract<ToHost, { type: 'start' }>): Promise<Target> {
	size = hosts;
	const { node } = await startHost({ name, join });
	started = startScheduler(node);
	return { peer: node.machineId, addresses: node.addresses() };
}

function watch(): (host: SchedulerHost) => Figures {
	const lag = monitorEventLoopDelay({ resolution: 5 });
	let rssMax = 0;
	const sampling = setInterval(() => {
		rssMax = Math.max(rssMax, process.memoryUsage.rss());
	}, SAMPLE_MS);
	const startMs = performance.now();
	const cpu = process.cpuUsage();
	lag.enable();
	return ({ mesh }) => {
		lag.disable();
		clearInterval(sampling);
		const { user, system } = process.cpuUsage(cpu);
		const { heapUsed } = process.memoryUsage();
		return {
			rssMaxMiB: rssMax / MIB,
			lagP99Ms: lag.percentile(99) / 1e6,
			lagMaxMs: lag.max / 1e6,
			cpuCores: (user + system) / 1e3 / (performance.now() - startMs),
			present: mesh.hosts().length,
			heapMiB: heapUsed / MIB,
		};
	};
}
