/** Waits for what becomes of pods: that one serves, that one is gone. */
import { type MeshCode, MeshError } from '@beemesh/sdk/errors';
import type { PodManager } from '../pods/index.ts';
import type { HostedPod } from './registry.ts';
import { endsOf, isReady, pidsOf } from './views.ts';

/** Time from start to serving, once the image is here. A slow machine starts a Node app in a few seconds. */
const DEPLOY_TIMEOUT_MS = 30_000;
/** A container without the SDK never dials its socket: running and probed for this long counts as deployed. */
const PLAIN_IMAGE_AFTER_MS = 5_000;
/** Exits before the first readiness that make a deployment failed. */
const EXITS_MAX = 3;

export class PodWatch {
	readonly #pods: PodManager;
	readonly #looks = new Set<() => void>();

	constructor(pods: PodManager) {
		this.#pods = pods;
		pods.events(() => this.changed());
	}

	/** Something is new that the pods' manager does not know of. */
	changed(): void {
		for (const look of [...this.#looks]) look();
	}

	/** Resolves when the replica serves; rejects on the third exit, on abort, and after the deploy timeout. */
	serving(pod: HostedPod, signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const settle = (finish: () => void): void => {
				this.#looks.delete(look);
				clearTimeout(timeout);
				clearTimeout(plain);
				signal.removeEventListener('abort', abort);
				finish();
			};
			const fail = (code: MeshCode, message: string): void => settle(() => reject(new MeshError(code, message)));
			const abort = (): void => settle(() => reject(signal.reason as MeshError));
			const look = (): void => {
				const managed = this.#pods.get(pod.podId);
				if (pod.leaving !== '') fail('unavailable', `the replica left: ${pod.leaving}`);
				else if (managed?.phase === 'Failed' || (managed?.restarts ?? 0) >= EXITS_MAX) {
					fail('unavailable', `it keeps ending: ${endsOf(managed)}; its last lines are in the host's log`);
				} else if (isReady(pod, managed)) settle(resolve);
			};
			const timeout = setTimeout(() => {
				const state = pod.embedsSdk
					? pod.announced === undefined
						? 'did not join its workload'
						: 'is not ready'
					: 'does not run';
				const ends = endsOf(this.#pods.get(pod.podId));
				const why = ends === '' ? '' : `: ${ends}; its last lines are in the host's log`;
				fail('deadline', `the pod ${state} after ${DEPLOY_TIMEOUT_MS / 1000} s${why}`);
			}, DEPLOY_TIMEOUT_MS);
			const plain = setTimeout(() => {
				pod.isPlain = true;
				look();
			}, PLAIN_IMAGE_AFTER_MS);
			signal.addEventListener('abort', abort, { once: true });
			this.#looks.add(look);
			look();
		});
	}

	/** Resolves when the pod is removed, being removed, or none of its containers runs; at the latest after the grace. */
	gone(pod: HostedPod, graceMs: number, isBeingRemoved: () => boolean): Promise<void> {
		return new Promise((resolve) => {
			const settle = (): void => {
				clearTimeout(timer);
				this.#looks.delete(look);
				resolve();
			};
			const look = (): void => {
				const managed = this.#pods.get(pod.podId);
				if (managed === undefined || pidsOf(managed).length === 0 || isBeingRemoved()) settle();
			};
			const timer = setTimeout(settle, graceMs);
			this.#looks.add(look);
			look();
		});
	}
}
