/** Serves `PodApi` on one pod's own unix socket. Whoever can open that socket *is* the pod: it can ask for nothing else. */
import { type MemberHint, PodApi, type PodContext, type PodEvent } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import {
	genesisFor,
	type MachineTrust,
	openCsr,
	peekRecord,
	type Signer,
	signRecord,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import { createServices, listenUnix, openSession, type UnixListener } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import type { Award, MachineId, WorkloadId, WorkloadKind } from '@beemesh/sdk/wire';
import type { Scheduler } from '../scheduler/index.ts';
import type { HostedPod } from './registry.ts';

/** What the host does for its pods. */
export interface PodHost {
	readonly machineId: MachineId;
	readonly trust: MachineTrust;
	readonly signer: Signer;
	readonly scheduler: Scheduler;
	readonly logger: Logger;
	readonly nowMs: () => number;
	contextOf(pod: HostedPod): PodContext;
	/** Replicas of a workload wherever they run. */
	membersOf(wid: WorkloadId): Promise<readonly MemberHint[]>;
	/** What members of a workload have left with their hosts, for others to check them. Sealed. */
	rostersOf(wid: WorkloadId): Promise<readonly Uint8Array[]>;
	announced(pod: HostedPod): void;
	/** The replica has left for good. */
	left(pod: HostedPod, reason: string): void;
}

const KINDS: readonly WorkloadKind[] = ['StatefulSet', 'Deployment'];

/** Listens until the returned listener is closed. */
export async function servePod(path: string, pod: HostedPod, host: PodHost): Promise<UnixListener> {
	const { award, name } = pod;
	const services = createServices<undefined>({
		onFailure: ({ error, what }) => host.logger.error('pod call failed', { pod: name, what, error }),
	});
	services.serve(PodApi, {
		context: () => {
			pod.embedsSdk = true;
			return host.contextOf(pod);
		},
		join: async ({ csr: envelope, cert }, { signal }) => {
			const csr = openCsr(envelope);
			const { wid, slot, gen, awardId } = csr.body;
			if (wid !== award.wid || slot !== award.slot || gen !== award.gen || awardId !== award.awardId) {
				throw new MeshError('unauthorized', 'the admission request is not for this pod’s award');
			}
			const statement = signRecord(
				'host-statement',
				{ awardId, csrCid: csr.cid, manifestCid: award.manifestCid, machineId: host.machineId, ts: host.nowMs() },
				host.signer,
			);
			const { sealed, members, foundingSlots } = await host.scheduler.requestAdmission(
				{ awardId, requester: award.requester, replyKey: pod.replyKey, csr: envelope, cert, statement },
				signal,
			);
			return { sealed, members, foundingSlots };
		},
		keepRoster: ({ sealed }) => {
			pod.roster = { sealed, keptAtMs: host.nowMs() };
			return {};
		},
		rosters: async ({ wid }) => ({ sealed: [...(await host.rostersOf(wid))] }),
		announce: (announcement) => {
			pod.announced = announcement;
			host.announced(pod);
			return {};
		},
		resolve: async (query) => {
			const wids =
				query.by === 'id'
					? [query.wid]
					: (query.kind === undefined ? KINDS : [query.kind]).map((kind) =>
							workloadIdOf(genesisFor(pod.bundle.owner, kind, query.namespace, query.name)),
						);
			const found = await Promise.all(wids.map(async (wid) => ({ wid, members: [...(await host.membersOf(wid))] })));
			return { found: found.filter(({ members }) => members.length > 0) };
		},
		leave: ({ reason }) => {
			host.left(pod, reason);
			return {};
		},
		events: (_, { signal }) => podEvents(pod, host.trust, signal),
		place: (request, { signal }) => {
			requireOwn(award, peekRecord('tender', request.tender).body.wid);
			return host.scheduler.place(request, signal);
		},
		retender: ({ tender }) => {
			requireOwn(award, peekRecord('tender', tender).body.wid);
			host.scheduler.retender(tender);
			return {};
		},
		deliver: (request) => {
			requireOwn(award, host.scheduler.awardedBy(request.awardId)?.wid ?? award.wid);
			host.scheduler.deliver(request);
			return {};
		},
		admit: async (request) => {
			requireOwn(award, host.scheduler.awardedBy(request.awardId)?.wid ?? award.wid);
			await host.scheduler.admit(request);
			return {};
		},
	});
	return listenUnix(path, (stream) => {
		openSession(stream, {
			remote: 'local',
			initiator: false,
			services,
			exchange: { hello: () => new Uint8Array(), admit: () => undefined },
		}).catch((error: unknown) => host.logger.debug('pod session refused', { pod: name, error }));
	});
}

/** A replica may place replicas of its own workload only. */
function requireOwn(award: Award, wid: WorkloadId): void {
	if (wid !== award.wid) throw new MeshError('unauthorized', 'a pod places replicas of its own workload only');
}

async function* podEvents(pod: HostedPod, trust: MachineTrust, signal: AbortSignal): AsyncGenerator<PodEvent> {
	// What is newest first: the replica may have been away while it came.
	const queue: PodEvent[] = [
		{ type: 'mesh-epoch', epoch: trust.epoch.envelope },
		{ type: 'charter', charter: pod.bundle.bundle.charter, manifest: pod.bundle.bundle.manifest },
	];
	if (pod.leaving !== '') queue.push({ type: 'drain', reason: pod.leaving });
	let wake: () => void = () => {};
	const push = (event: PodEvent): void => {
		queue.push(event);
		wake();
	};
	const abort = (): void => wake();
	pod.listeners.add(push);
	const listening = trust.onEpoch(({ envelope }) => push({ type: 'mesh-epoch', epoch: envelope }));
	signal.addEventListener('abort', abort);
	try {
		while (!signal.aborted) {
			const event = queue.shift();
			if (event !== undefined) yield event;
			else await new Promise<void>((resolve) => (wake = resolve));
		}
	} finally {
		pod.listeners.delete(push);
		listening[Symbol.dispose]();
		signal.removeEventListener('abort', abort);
	}
}
