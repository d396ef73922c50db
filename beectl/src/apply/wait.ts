/** Waits until a workload is as its charter says, showing each replica's state. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PodStatus } from '@beemesh/hostd/api';
import { isMeshError } from '@beemesh/sdk/errors';
import type { KeyPair } from '@beemesh/sdk/identity';
import type { Charter } from '@beemesh/sdk/wire';
import { EXIT, Failure } from '../cli/exit.ts';
import type { HostClient } from '../host/client.ts';
import { readMesh, type WorkloadState } from '../host/inventory.ts';
import { counted } from '../output/human.ts';
import type { WorkloadProgress } from '../output/progress.ts';

/** Hosts answer from memory; a person sees a change within this. */
const LOOK_EVERY_MS = 150;

export interface WaitOptions {
	readonly client: HostClient;
	readonly owner: KeyPair;
	readonly charter: Charter;
	readonly progress: WorkloadProgress;
	/** Since the epoch; Infinity waits for ever. */
	readonly untilMs: number;
	readonly nowMs: () => number;
	readonly signal: AbortSignal;
	/** Another one shows the progress for now. Default: never. */
	readonly isQuiet?: () => boolean;
}

/** Every slot has one ready pod that follows this charter, and no other pod is left. */
export async function waitReady(options: WaitOptions): Promise<void> {
	const { charter, progress } = options;
	await look(options, (state) => {
		const pods = state?.pods ?? [];
		if (!options.isQuiet?.()) show(progress, pods, (pod) => isAsWanted(pod, charter));
		const ready = new Set(pods.filter((pod) => isAsWanted(pod, charter)).map(({ slot }) => slot));
		if (ready.size === charter.replicas && pods.length === charter.replicas) return undefined;
		const other = pods.filter((pod) => !isAsWanted(pod, charter));
		return [
			`${ready.size} of ${counted(charter.replicas, 'replica')} ready`,
			...other.map((pod) => `  ${pod.name}: ${stateOf(pod)}`),
		].join('\n');
	});
}

/** No pod of the workload is left. */
export async function waitGone(options: WaitOptions): Promise<void> {
	await look(options, (state, isWhole) => {
		// A host that did not answer may have pods of it.
		if (state === undefined || state.pods.length === 0) return isWhole ? undefined : 'no pod is known';
		show(options.progress, state.pods, () => false);
		return `${counted(state.pods.length, 'pod')} left: ${state.pods.map(({ name, machineName }) => `${name} on ${machineName}`).join(', ')}`;
	});
}

/** One line per slot, however many generations of it are there: the newest first. */
function show(progress: WorkloadProgress, pods: readonly PodStatus[], isWanted: (pod: PodStatus) => boolean): void {
	for (const [slot, ofSlot] of Map.groupBy(pods, (pod) => pod.slot)) {
		progress.slot(slot, ofSlot.map(stateOf).join('; before it: '), ofSlot.every(isWanted) ? 'good' : 'plain');
	}
}

/** `missing` says what is still missing, or undefined when nothing is. */
async function look(
	options: WaitOptions,
	missing: (state: WorkloadState | undefined, isWhole: boolean) => string | undefined,
): Promise<void> {
	const { client, owner, charter, signal } = options;
	for (;;) {
		signal.throwIfAborted();
		const { workloads, hostsSilent } = await readMesh(client, owner, signal).catch((error: unknown) => {
			// A host that is busy for a moment ends no wait.
			if (isMeshError(error, 'deadline')) return { workloads: [], hostsSilent: [client.machine.machineId] };
			throw error;
		});
		const left = missing(
			workloads.find((workload) => workload.charter.wid === charter.wid),
			hostsSilent.length === 0,
		);
		if (left === undefined) return;
		if (options.nowMs() >= options.untilMs) {
			const silent = hostsSilent.length === 0 ? '' : `\n  ${counted(hostsSilent.length, 'host')} did not answer`;
			throw new Failure(EXIT.unreachable, `timed out; it goes on without us. ${left}${silent}`);
		}
		await delay(LOOK_EVERY_MS, undefined, { signal });
	}
}

function isAsWanted(pod: PodStatus, charter: Charter): boolean {
	return pod.ready && pod.slot < charter.replicas && pod.era >= charter.era && pod.manifestCid === charter.manifestCid;
}

function stateOf({ phase, reason, ready, role, machineName }: PodStatus): string {
	const state = reason === '' ? phase : reason;
	const what = ready ? `ready${role === '' ? '' : `, ${role}`}` : `${state}, not ready`;
	return `${what}, on ${machineName}`;
}
