/** Pods of this host: lifecycle, probes, and the way from a workload's manifest to one pod. */
export { buildPod, type PodNames } from './build-pod.ts';
export { type Clock, systemClock } from './clock.ts';
export {
	createPodManager,
	type PodEvent,
	type PodManager,
	type PodManagerComponents,
	type PodReport,
} from './pod-manager.ts';
