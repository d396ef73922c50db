/** The memory runtime under the contract of all runtimes. Its probe is a function with the verbs of `probe.sh`. */
import { MemoryMachine, MemoryRuntime, type ProgramContext } from '../memory/index.ts';
import { runtimeContract } from './contract.ts';
import type { RuntimeHarness } from './harness.ts';

function aborted(signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) resolve();
		else signal.addEventListener('abort', () => resolve(), { once: true });
	});
}

async function probe(context: ProgramContext): Promise<number> {
	const [, verb, ...args] = context.argv;
	switch (verb) {
		case 'idle':
			context.stdout('ready');
			await Promise.race([aborted(context.terminated), aborted(context.killed)]);
			context.stdout('terminated');
			return 0;
		case 'stubborn':
			context.stdout('ready');
			await aborted(context.killed);
			return 0;
		case 'say':
			for (const line of args.slice(1).join('\n').split('\n')) context.stdout(line);
			context.stderr('to stderr');
			return Number(args[0]);
		case 'tick':
			for (let n = 1; !context.killed.aborted; n++) {
				context.stdout(`tick ${n}`);
				await new Promise((resolve) => setTimeout(resolve, 5));
			}
			return 0;
		case 'show':
			for (const name of args) context.stdout(`${name}=${context.env[name] ?? 'unset'}`);
			return 0;
		case 'keep': {
			const files = context.volume(context.env[`BEEMESH_VOLUME_${args[0]}`] ?? '');
			const kept = [...(files.get('kept')?.split('\n') ?? []), args[1] ?? ''];
			files.set('kept', kept.join('\n'));
			for (const line of kept) context.stdout(line);
			return 0;
		}
		default:
			return 64;
	}
}

async function memoryHarness(): Promise<RuntimeHarness> {
	const machine = new MemoryMachine();
	const image = 'localhost/beemesh/probe:1';
	return {
		image,
		open: async () => new MemoryRuntime({ images: { [image]: probe }, machine }),
		probe: (...args) => ({ command: ['/bin/probe'], args }),
		close: async () => undefined,
	};
}

runtimeContract('memory', memoryHarness, {
	installation: 'it is built in',
	network: 'its programs are functions without sockets',
	memoryLimit: 'its programs share the memory of the test',
});
