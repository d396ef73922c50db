/**
 * What this host runs: for each pod its award, its workload's bundle with the newest charter seen, and what its replica
 * announced. Nothing here is durable: a restarted hostd rebuilds it from the runtime's labels and each pod's own folder.
 */
import type { PodEvent } from '@beemesh/sdk/api';
import { compareCharters, type OpenedBundle, openBundle, openCharter } from '@beemesh/sdk/identity';
import { type Award, type ReplicaId, slotOfMember, type WorkloadId } from '@beemesh/sdk/wire';
import type { PublishedPort } from '../runtime/runtime.ts';

export interface Announcement {
	readonly replicaId: ReplicaId;
	readonly addresses: readonly string[];
	readonly ready: boolean;
	readonly role: string;
}

/** One pod of this host. */
export interface HostedPod {
	readonly podId: string;
	/** As Kubernetes names it. */
	readonly name: string;
	readonly award: Award;
	bundle: OpenedBundle;
	/** Of whoever asked for it: its request for admission is sealed to it. */
	readonly replyKey: Uint8Array;
	readonly ports: readonly PublishedPort[];
	readonly createdAtMs: number;
	/** It has come up: its deployment is over. */
	hasServed: boolean;
	announced: Announcement | undefined;
	/** What its replica left here for whoever checks its members. Sealed. */
	roster: { readonly sealed: Uint8Array; readonly keptAtMs: number } | undefined;
	/** Has asked its socket for anything: it embeds the SDK. */
	embedsSdk: boolean;
	/** Has not, for as long as a replica could need to: the container knows nothing of us. */
	isPlain: boolean;
	/** Why it is going away; empty while it is wanted. */
	leaving: string;
	/** Its owner says that the workload is over, whatever the charter here says. */
	isEnded: boolean;
	readonly listeners: Set<(event: PodEvent) => void>;
}

/** Pods by id and by workload. */
export class PodRegistry {
	readonly #pods = new Map<string, HostedPod>();

	add(pod: HostedPod): void {
		this.#pods.set(pod.podId, pod);
	}

	delete(podId: string): void {
		this.#pods.delete(podId);
	}

	get(podId: string): HostedPod | undefined {
		return this.#pods.get(podId);
	}

	all(): HostedPod[] {
		return [...this.#pods.values()];
	}

	of(wid: WorkloadId): HostedPod[] {
		return this.all().filter((pod) => pod.award.wid === wid);
	}

	/**
	 * Takes a newer charter for a workload that runs here; returns its pods. An older or equal one changes nothing.
	 * Throws `unauthorized` unless the workload's owner signed it.
	 */
	adoptCharter(envelope: Uint8Array, manifest: Uint8Array | undefined, wid: WorkloadId, nowMs: number): HostedPod[] {
		const pods = this.of(wid);
		for (const pod of pods) {
			const offered = openCharter(envelope, wid, pod.bundle.owner, nowMs).body;
			if (compareCharters(offered, pod.bundle.charter.body) <= 0) continue;
			pod.bundle = openBundle(
				{ ...pod.bundle.bundle, charter: envelope, ...(manifest === undefined ? {} : { manifest }) },
				nowMs,
			);
			for (const listener of pod.listeners) {
				listener({ type: 'charter', charter: envelope, ...(manifest === undefined ? {} : { manifest }) });
			}
		}
		return pods;
	}
}

/** The pod's name in the runtime and on disk: unique per workload, slot and generation; a DNS label. */
export function podIdOf(wid: WorkloadId, memberId: number): string {
	const { slot, gen } = slotOfMember(memberId);
	return `bm-${wid.slice(-16)}-${slot}-g${gen}`;
}
