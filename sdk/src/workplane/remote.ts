/**
 * Another workload of the same owner: found through the host, which knows entry addresses and is not trusted with more;
 * from then on its replicas tell of each other. Asked again whenever none of them can be reached.
 */
import type { Directory, WorkloadView } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import type { MemberHint } from '../replicas/placement-api.ts';
import type { Logger } from '../telemetry/index.ts';
import type { PodHost } from './host.ts';

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 2000;
const DIAL_MS = 3000;
/** Replicas of another workload that we keep sessions with, from hints; the rest follows from them. */
const HINTS_MAX = 8;

export interface RemoteOptions {
	readonly directory: Directory;
	readonly host: PodHost;
	readonly namespace: string;
	readonly name: string;
	readonly log: Logger;
}

export class RemoteWorkload {
	readonly name: string;
	readonly #options: RemoteOptions;
	readonly #views = new Map<string, WorkloadView>();
	#timer: NodeJS.Timeout | undefined;
	#waitMs = RETRY_MIN_MS;
	#closed = false;
	#resolving = false;

	constructor(options: RemoteOptions) {
		this.#options = options;
		this.name = options.name;
		void this.#resolve();
	}

	/** Views of the workloads of this name: usually one; a Deployment and a StatefulSet may share it. */
	views(): readonly WorkloadView[] {
		return [...this.#views.values()];
	}

	/** Looks again soon when nobody is reachable. */
	wake(): void {
		if (this.#isReachable() || this.#closed || this.#resolving) return;
		clearTimeout(this.#timer);
		this.#waitMs = RETRY_MIN_MS;
		void this.#resolve();
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#timer);
	}

	#isReachable(): boolean {
		return this.views().some((view) => view.live().length > 0);
	}

	async #resolve(): Promise<void> {
		const { host, namespace, name, directory, log } = this.#options;
		this.#resolving = true;
		try {
			const { found } = await host.calls.resolve({ by: 'name', namespace, name });
			for (const { wid, members } of found) {
				const view = directory.view(wid);
				view.activate();
				this.#views.set(wid, view);
				await Promise.all(members.slice(0, HINTS_MAX).map((hint) => this.#dial(hint)));
			}
		} catch (error) {
			if (!isMeshError(error)) throw error;
			log.debug('workload not resolved', { workload: name, error });
		} finally {
			this.#resolving = false;
			this.#again();
		}
	}

	#again(): void {
		if (this.#closed) return;
		const isReachable = this.#isReachable();
		this.#waitMs = isReachable ? RETRY_MAX_MS : Math.min(RETRY_MAX_MS, this.#waitMs * 2);
		this.#timer = setTimeout(() => (this.#isReachable() ? this.#again() : void this.#resolve()), this.#waitMs);
	}

	async #dial({ replicaId, addresses }: MemberHint): Promise<void> {
		const { directory, log, name } = this.#options;
		try {
			const session = await directory.dial(replicaId, addresses, AbortSignal.timeout(DIAL_MS));
			const { cert } = session.principal;
			if (cert.name !== name) throw new MeshError('unauthorized', `a hint for ${name} leads to ${cert.name}`);
		} catch (error) {
			log.debug('hint not reached', { workload: name, replicaId, error });
		}
	}
}
