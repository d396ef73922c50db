/** `scale` and `delete`: a newer charter of a workload that is there. */
import { signRecord, signWorkloadEnd } from '@beemesh/sdk/identity';
import { type Charter, SLOTS_MAX } from '@beemesh/sdk/wire';
import { confirmMembers } from '../apply/checkpoint.ts';
import { nextEra } from '../apply/plan.ts';
import { charterAfter } from '../apply/records.ts';
import { type WaitOptions, waitGone, waitReady } from '../apply/wait.ts';
import type { Cli, Command } from '../cli/command.ts';
import { usageError } from '../cli/input.ts';
import type { HostClient } from '../host/client.ts';
import { giveCharter, readMesh, type WorkloadState } from '../host/inventory.ts';
import { Progress } from '../output/progress.ts';
import type { Owner } from '../owner/owner.ts';
import { FILES, manifestsOf, NAMESPACE, WAIT, waitMs } from './options.ts';
import { referencesOf, titleOf, type WorkloadKindWord, workloadNamed } from './resources.ts';
import { runAll } from './run-all.ts';

const WORKLOADS = ['deployment', 'statefulset'] as const;

export const scale: Command = {
	name: 'scale',
	summary: 'change how many replicas a workload has',
	usage: ['scale deployment/NAME --replicas=N [options]', 'scale statefulset/NAME --replicas=N [options]'],
	options: {
		replicas: { type: 'string', value: 'N', help: `from 1 to ${SLOTS_MAX}` },
		...NAMESPACE,
		...WAIT,
	},
	examples: [['scale deployment/web --replicas=5 --wait', 'run five replicas, and wait until they are ready']],
	async run(input, cli) {
		const replicas = input.count('replicas', 0);
		if (replicas === undefined) throw usageError('say how many with --replicas=N');
		if (replicas === 0) throw usageError('--replicas: 0: what runs nowhere is remembered nowhere; use `beectl delete`');
		if (replicas > SLOTS_MAX) throw usageError(`--replicas: ${replicas} is more than ${SLOTS_MAX}`);
		const targets = targetsOf(input.positionals);
		await changeAll(cli, targets, input.text('namespace') ?? 'default', {
			change: { replicas },
			isDone: ({ charter }) => charter.replicas === replicas,
			told: 'scaled',
			withinMs: waitMs(input),
			wait: waitReady,
		});
	},
};

export const remove: Command = {
	name: 'delete',
	summary: 'end workloads: their replicas leave and their pods are removed',
	usage: ['delete deployment/NAME... [options]', 'delete statefulset NAME... [options]', 'delete -f PATH... [options]'],
	options: {
		...FILES,
		...NAMESPACE,
		...WAIT,
		'ignore-not-found': { type: 'boolean', help: 'what is not there counts as deleted' },
	},
	examples: [
		['delete deployment/web --wait', 'delete a workload and wait until its last pod is gone'],
		['delete -f app.yaml', 'delete the workloads of a file'],
	],
	async run(input, cli) {
		const fromFiles = input.texts('filename').length > 0;
		const targets = fromFiles
			? (await manifestsOf(input, cli)).map(({ manifest: { kind, metadata } }) => ({
					kind: kind.toLowerCase() as WorkloadKindWord,
					name: metadata.name,
					namespace: metadata.namespace,
				}))
			: targetsOf(input.positionals);
		await changeAll(cli, targets, input.text('namespace') ?? 'default', {
			change: { deleted: true, replicas: 0 },
			isDone: ({ charter }) => charter.deleted,
			told: 'deleted',
			withinMs: waitMs(input),
			wait: waitGone,
			ignoreMissing: input.flag('ignore-not-found'),
		});
	},
};

interface Target {
	readonly kind: WorkloadKindWord;
	readonly name: string;
	readonly namespace?: string;
}

interface Change {
	readonly change: Partial<Pick<Charter, 'replicas' | 'deleted'>>;
	isDone(state: WorkloadState): boolean;
	readonly told: string;
	readonly withinMs: number | undefined;
	wait(options: WaitOptions): Promise<void>;
	readonly ignoreMissing?: boolean;
}

function targetsOf(words: readonly string[]): readonly Target[] {
	return referencesOf(words, WORKLOADS).map(({ kind, name }) => {
		if (name === undefined) throw usageError(`name the ${kind}: ${kind}/NAME`);
		return { kind: kind as WorkloadKindWord, name };
	});
}

async function changeAll(cli: Cli, targets: readonly Target[], namespace: string, change: Change): Promise<void> {
	const owner = await cli.owner();
	const client = await cli.connect();
	const state = await readMesh(client, owner.signer, cli.signal);
	const found = targets.flatMap((target) => {
		try {
			return [workloadNamed(state, target.kind, target.namespace ?? namespace, target.name)];
		} catch (error) {
			if (change.ignoreMissing) return [];
			throw error;
		}
	});
	const progress = new Progress(cli.err);
	await runAll(
		found,
		async (workload) => {
			const { kind, name } = workload.charter;
			const charter = await changed(client, owner, workload, change, cli, (text) => progress.line(cli.err, text));
			const shown = progress.workload(`${kind.toLowerCase()}/${name}`);
			const untilMs = cli.nowMs() + (change.withinMs ?? 0);
			if (change.withinMs !== undefined) {
				const { nowMs, signal } = cli;
				await change.wait({ client, owner: owner.signer, charter, progress: shown, untilMs, nowMs, signal });
			}
			progress.line(cli.out, `${titleOf(kind, name)} ${change.told}`);
		},
		({ charter }) => titleOf(charter.kind, charter.name),
	);
}

async function changed(
	client: HostClient,
	owner: Owner,
	workload: WorkloadState,
	change: Change,
	cli: Cli,
	tell: (text: string) => void,
): Promise<Charter> {
	if (change.isDone(workload)) return workload.charter;
	if (change.change.deleted !== true) {
		const { signal, nowMs } = cli;
		await confirmMembers({ client, owner, workload, when: 'any', tell, nowMs, signal });
	}
	const nowMs = cli.nowMs();
	const charter = charterAfter(workload.charter, change.change, nextEra(workload.charter.era, nowMs), nowMs);
	const envelope = signRecord('charter', charter, owner.signer);
	await giveCharter(client, workload.hosts, { charter: envelope }, cli.signal);
	// For hosts that are away; they pass it on, so it says no more than it must.
	if (charter.deleted)
		await client.api.end({ end: signWorkloadEnd(charter, owner.signer, nowMs) }, { signal: cli.signal });
	return charter;
}
