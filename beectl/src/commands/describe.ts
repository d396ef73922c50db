import type { PodStatus } from '@beemesh/hostd/api';
import type { Presence } from '@beemesh/sdk/wire';
import { stringify } from 'yaml';
import type { Cli, Command } from '../cli/command.ts';
import { usageError } from '../cli/input.ts';
import { type MeshState, readMesh, type WorkloadState } from '../host/inventory.ts';
import { labelText, podColumns, podStatusText, readyCount, upToDateCount, workloadAge } from '../output/columns.ts';
import { fields } from '../output/fields.ts';
import { age, bytes, cores } from '../output/human.ts';
import { noteSilentHosts } from '../output/print.ts';
import { table } from '../output/table.ts';
import { NAMESPACE } from './options.ts';
import { notFound, referencesOf, workloadNamed } from './resources.ts';

export const describe: Command = {
	name: 'describe',
	summary: 'everything known about one pod, deployment, statefulset or host',
	usage: ['describe pod|deployment|statefulset|host NAME [options]', 'describe KIND/NAME... [options]'],
	options: NAMESPACE,
	examples: [
		['describe pod kv-store-0', 'where a pod runs, since when, and how it is'],
		['describe sts/kv-store', 'a StatefulSet, its pods and its manifest'],
	],
	async run(input, cli) {
		const namespace = input.text('namespace') ?? 'default';
		const texts: string[] = [];
		for (const { kind, name } of referencesOf(input.positionals)) {
			if (name === undefined) throw usageError(`name the ${kind}`);
			if (kind === 'host') texts.push(await hostText(name, cli));
			else {
				const { signer } = await cli.owner();
				const state = await readMesh(await cli.connect(), signer, cli.signal);
				noteSilentHosts(cli.err, state.hostsSilent);
				if (kind === 'pod') texts.push(podText(podNamed(state, name, namespace), cli.nowMs()));
				else texts.push(workloadText(workloadNamed(state, kind, namespace, name), cli.nowMs()));
			}
		}
		cli.out.write(texts.join('\n'));
	},
};

function podNamed({ workloads }: MeshState, name: string, namespace: string): PodStatus {
	const found = workloads.flatMap(({ pods }) => pods).find((pod) => pod.name === name && pod.namespace === namespace);
	if (found === undefined) throw notFound('pod', name, namespace);
	return found;
}

function podText(pod: PodStatus, nowMs: number): string {
	return fields([
		['Name', pod.name],
		['Namespace', pod.namespace],
		['Workload', `${pod.kind}/${pod.workload}`],
		['Workload ID', pod.wid],
		['Status', podStatusText(pod)],
		['Ready', pod.ready ? 'yes' : 'no'],
		['Role', pod.role],
		['Slot', `${pod.slot}, generation ${pod.gen}`],
		['Replica ID', pod.replicaId ?? ''],
		['Host', `${pod.machineName} (${pod.machineId})`],
		['Pod ID', pod.podId],
		['Image', pod.image],
		['Started', `${new Date(pod.createdAtMs).toISOString()} (${age(nowMs - pod.createdAtMs)} ago)`],
		['Restarts', String(pod.restarts)],
		['Processes', pod.pids.join(', ')],
		[
			'Endpoints',
			pod.endpoints
				.map(({ name, protocol, address, containerPort }) => `${name} ${address} → ${containerPort}/${protocol}`)
				.join(', '),
		],
		['Charter era', String(pod.era)],
		['Manifest', pod.manifestCid],
		['Award', pod.award?.awardId ?? ''],
	]);
}

function workloadText(state: WorkloadState, nowMs: number): string {
	const { charter, manifest, pods } = state;
	const head = fields([
		['Name', charter.name],
		['Namespace', charter.namespace],
		['Kind', charter.kind],
		['Workload ID', charter.wid],
		['Labels', labelText(manifest.metadata.labels ?? {})],
		[
			'Replicas',
			`${charter.replicas} wanted, ${pods.length} there, ${readyCount(state)} ready, ${upToDateCount(state)} up to date`,
		],
		['Age', workloadAge(state, nowMs)],
		[
			'Charter',
			`era ${charter.era}, since ${new Date(charter.nbf).toISOString()}${charter.deleted ? ', deleted' : ''}`,
		],
		['Manifest', charter.manifestCid],
	]);
	const { narrow, wide } = podColumns(nowMs);
	const list = pods.length === 0 ? '  <none>\n' : indent(table([...narrow, ...wide.slice(0, 3)], pods));
	return `${head}Pods:\n${list}Spec:\n${indent(stringify(manifest.spec))}`;
}

async function hostText(name: string, cli: Cli): Promise<string> {
	const { api } = await cli.connect('anybody');
	const { hosts } = await api.hosts({}, { signal: cli.signal });
	const host = hosts.find((each: Presence) => each.name === name || each.machineId === name);
	if (host === undefined) throw notFound('host', name);
	const resource = (what: 'capacity' | 'free') => {
		const { cpuMillis, memoryBytes, diskBytes } = host[what];
		return `${cores(cpuMillis)} cores, ${bytes(memoryBytes)} memory, ${bytes(diskBytes)} disk`;
	};
	return fields([
		['Name', host.name],
		['Machine ID', host.machineId],
		['Status', host.leaving ? 'Leaving' : 'Ready'],
		['Addresses', host.addresses.join(', ')],
		['Labels', labelText(host.labels)],
		['Runtime', host.runtime],
		['Version', host.version],
		['Capacity', resource('capacity')],
		['Free', resource('free')],
		['Pods', `${host.pods} of all owners`],
		['Last seen', `${age(cli.nowMs() - host.ts)} ago`],
	]);
}

function indent(text: string): string {
	return text.replace(/^(?=.)/gm, '  ');
}
