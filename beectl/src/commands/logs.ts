import type { PodStatus } from '@beemesh/hostd/api';
import type { Cli, Command } from '../cli/command.ts';
import { EXIT, Failure } from '../cli/exit.ts';
import { type Input, usageError } from '../cli/input.ts';
import type { HostClient } from '../host/client.ts';
import { readMesh } from '../host/inventory.ts';
import { NAMESPACE } from './options.ts';
import { kindOf, notFound, workloadNamed } from './resources.ts';

export const logs: Command = {
	name: 'logs',
	summary: 'print what pods wrote, wherever they run',
	usage: ['logs POD [options]', 'logs deployment/NAME [options]', 'logs statefulset/NAME [options]'],
	options: {
		follow: { type: 'boolean', short: 'f', help: 'go on with what is written from now on' },
		tail: { type: 'string', value: 'N', help: 'only the last N lines [default: all that is kept]' },
		timestamps: { type: 'boolean', help: 'the time before each line' },
		container: { type: 'string', short: 'c', value: 'NAME', help: 'container [default: the first]' },
		...NAMESPACE,
	},
	notes: "Of a workload, every pod's lines are printed as they come, each after its pod's name.",
	examples: [
		['logs -f kv-store-0', 'follow one pod'],
		['logs sts/kv-store --tail 20', 'the last lines of every replica'],
	],
	async run(input, cli) {
		const [word, ...rest] = input.positionals;
		if (word === undefined || rest.length > 0) throw usageError('name one pod, deployment/NAME or statefulset/NAME');
		const client = await cli.connect();
		const pods = await podsOf(word, input, cli, client);
		await Promise.all(pods.map((pod) => printLogs(pod, pods.length > 1 ? `[${pod.name}] ` : '', input, cli, client)));
	},
};

async function podsOf(word: string, input: Input, cli: Cli, client: HostClient): Promise<readonly PodStatus[]> {
	const namespace = input.text('namespace') ?? 'default';
	const { signer } = await cli.owner();
	const state = await readMesh(client, signer, cli.signal);
	const [kindWord, name] = word.includes('/') ? (word.split('/', 2) as [string, string]) : ['pod', word];
	const kind = kindOf(kindWord);
	if (kind === 'host') throw usageError('hosts have no logs here; see what runs hostd, e.g. `journalctl -u hostd`');
	if (kind !== 'pod') {
		const { pods } = workloadNamed(state, kind, namespace, name);
		if (pods.length === 0) throw new Failure(EXIT.notFound, `${kind} "${name}" has no pod now`);
		return pods;
	}
	const found = state.workloads
		.flatMap(({ pods }) => pods)
		.find((pod) => pod.namespace === namespace && pod.name === name);
	if (found === undefined) throw notFound('pod', name, namespace);
	return [found];
}

async function printLogs(pod: PodStatus, prefix: string, input: Input, cli: Cli, client: HostClient): Promise<void> {
	const container = input.text('container');
	const tail = input.count('tail', 0);
	const host = await client.host(pod.machineId, cli.signal);
	const lines = host.logs(
		{
			podId: pod.podId,
			...(container === undefined ? {} : { container }),
			...(tail === undefined ? {} : { tail }),
			follow: input.flag('follow'),
			timestamps: false,
		},
		{ signal: cli.signal },
	);
	for await (const { timeMs, line } of lines) {
		const time = input.flag('timestamps') ? `${new Date(timeMs).toISOString()} ` : '';
		cli.out.write(`${prefix}${time}${line}\n`);
	}
}
