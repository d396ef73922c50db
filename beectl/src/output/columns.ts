/** The columns of `get`, narrow and wide. */
import type { PodStatus } from '@beemesh/hostd/api';
import type { Presence } from '@beemesh/sdk/wire';
import type { WorkloadState } from '../host/inventory.ts';
import { age, bytes, cores } from './human.ts';
import type { Column } from './table.ts';

export interface Columns<T> {
	readonly namespace?: Column<T>;
	readonly narrow: readonly Column<T>[];
	readonly wide: readonly Column<T>[];
}

const column = <T>(title: string, value: (row: T) => string): Column<T> => ({ title, value });

export function podStatusText({ phase, reason }: PodStatus): string {
	return reason === '' ? phase : reason;
}

function readyText({ ready, image }: PodStatus): string {
	const containers = image.split(',').length;
	return `${ready ? containers : 0}/${containers}`;
}

export function podColumns(nowMs: number): Columns<PodStatus> {
	return {
		namespace: column('NAMESPACE', ({ namespace }) => namespace),
		narrow: [
			column('NAME', ({ name }) => name),
			column('READY', readyText),
			column('STATUS', podStatusText),
			column('ROLE', ({ role }) => role),
			column('RESTARTS', ({ restarts }) => String(restarts)),
			column('AGE', ({ createdAtMs }) => age(nowMs - createdAtMs)),
			column('HOST', ({ machineName }) => machineName),
		],
		wide: [
			column('SLOT', ({ slot }) => String(slot)),
			column('GEN', ({ gen }) => String(gen)),
			column('ENDPOINTS', ({ endpoints }) => endpoints.map(({ name, address }) => `${name}=${address}`).join(',')),
			column('IMAGES', ({ image }) => image),
		],
	};
}

/** When the workload's oldest pod started; its charter's time before that. */
export function workloadAge({ charter, pods }: WorkloadState, nowMs: number): string {
	return age(nowMs - Math.min(charter.nbf, ...pods.map(({ createdAtMs }) => createdAtMs)));
}

export function readyCount({ pods, charter }: WorkloadState): number {
	return new Set(pods.filter(({ ready, slot }) => ready && slot < charter.replicas).map(({ slot }) => slot)).size;
}

export function upToDateCount({ pods, charter }: WorkloadState): number {
	return pods.filter(({ manifestCid, phase }) => manifestCid === charter.manifestCid && phase === 'Running').length;
}

const workloadWide: readonly Column<WorkloadState>[] = [
	column('CONTAINERS', ({ manifest }) => manifest.spec.template.spec.containers.map(({ name }) => name).join(',')),
	column('IMAGES', ({ manifest }) => manifest.spec.template.spec.containers.map(({ image }) => image).join(',')),
];
const workloadStart: readonly Column<WorkloadState>[] = [
	column('NAME', ({ charter }) => charter.name),
	column('READY', (state) => `${readyCount(state)}/${state.charter.replicas}`),
];
const workloadNamespace = column<WorkloadState>('NAMESPACE', ({ charter }) => charter.namespace);

export function deploymentColumns(nowMs: number): Columns<WorkloadState> {
	return {
		namespace: workloadNamespace,
		narrow: [
			...workloadStart,
			column('UP-TO-DATE', (state) => String(upToDateCount(state))),
			column('AVAILABLE', (state) => String(readyCount(state))),
			column('AGE', (state) => workloadAge(state, nowMs)),
		],
		wide: [...workloadWide, column('SELECTOR', ({ manifest }) => labelText(manifest.spec.selector.matchLabels))],
	};
}

export function statefulSetColumns(nowMs: number): Columns<WorkloadState> {
	return {
		namespace: workloadNamespace,
		narrow: [...workloadStart, column('AGE', (state) => workloadAge(state, nowMs))],
		wide: workloadWide,
	};
}

export const hostColumns: Columns<Presence> = {
	narrow: [
		column('NAME', ({ name }) => name),
		column('STATUS', ({ leaving }) => (leaving ? 'Leaving' : 'Ready')),
		column('RUNTIME', ({ runtime }) => runtime),
		column('PODS', ({ pods }) => String(pods)),
		column('CPU FREE', ({ free, capacity }) => `${cores(free.cpuMillis)}/${cores(capacity.cpuMillis)}`),
		column('MEMORY FREE', ({ free, capacity }) => `${bytes(free.memoryBytes)}/${bytes(capacity.memoryBytes)}`),
		column('DISK FREE', ({ free, capacity }) => `${bytes(free.diskBytes)}/${bytes(capacity.diskBytes)}`),
		column('VERSION', ({ version }) => version),
	],
	wide: [
		column('MACHINE ID', ({ machineId }) => machineId),
		column('ADDRESSES', ({ addresses }) => addresses.join(',')),
		column('LABELS', ({ labels }) => labelText(labels)),
	],
};

export function labelText(labels: Readonly<Record<string, string>>): string {
	return Object.entries(labels)
		.map(([name, value]) => `${name}=${value}`)
		.join(',');
}
