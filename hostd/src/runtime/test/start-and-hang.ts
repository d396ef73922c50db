/** A stand-in for hostd: starts the pods given on stdin, prints their process ids and waits to be killed. */
import { text } from 'node:stream/consumers';
import { ProcessRuntime } from '../process/index.ts';
import type { PodStart } from '../runtime.ts';

const input = JSON.parse(await text(process.stdin)) as { stateDir: string; specs: PodStart[] };
const runtime = new ProcessRuntime({ stateDir: input.stateDir });
const pids: number[] = [];
for (const spec of input.specs) {
	const [container] = (await runtime.start(spec)).containers;
	if (container?.state.state === 'running') pids.push(container.state.pid);
}
process.stdout.write(JSON.stringify(pids));
setInterval(() => undefined, 60_000);
