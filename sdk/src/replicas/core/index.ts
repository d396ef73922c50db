export { parseCpuMillis, parseQuantity } from './quantity.ts';
export {
	createReconciler,
	type Desired,
	type LossCause,
	type ObservedReplica,
	RECONCILER_DEFAULTS,
	type Reconciler,
	type ReconcilerConfig,
	type ReconcilerEffect,
	type ReconcilerInput,
} from './reconciler.ts';
export { requirementsOf } from './requirements.ts';
