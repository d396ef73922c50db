/**
 * Can this host serve this tender, and with how many replicas? Either an offer, or the first requirement that failed,
 * in words that name it: `memory: needs 900Gi, 20Gi free`. What was checked before (signature, grant, replay) is the
 * driver's part; see `verify.ts`.
 */
import { type Resources, type Tender, unmetSelector } from '@beemesh/sdk/wire';
import { type HostView, podKey } from './types.ts';

export type Evaluation =
	| { readonly offer: true; readonly slots: number }
	| { readonly offer: false; readonly reason: string };

/** Order of `scheduling.md`: host policy, resources, nodeSelector, host ports, spread. */
export function evaluate(tender: Tender, host: HostView): Evaluation {
	const reason =
		refuseByPolicy(tender, host) ??
		refuseByResources(tender, host) ??
		unmetSelector(tender.requirements.nodeSelector, host.labels) ??
		refuseByPorts(tender, host);
	if (reason !== undefined) return { offer: false, reason };

	// Two pods of one host cannot share a host port, so a second replica never fits beside the first.
	const perHost = tender.requirements.hostPorts.length > 0 ? 1 : tender.slots.length;
	const open = tender.slots.filter(({ slot, gen }) => !host.ledger.has(podKey(tender.wid, slot, gen)));
	if (open.length === 0) {
		const [first] = tender.slots;
		return { offer: false, reason: `lease: slot ${first?.slot} generation ${first?.gen} is on this host already` };
	}
	return {
		offer: true,
		slots: Math.min(open.length, perHost, fitCount(tender.requirements.resources, host.ledger.free())),
	};
}

function refuseByPolicy(tender: Tender, host: HostView): string | undefined {
	if (host.leaving) return 'leaving: the host is draining';
	if (tender.avoid.hard.includes(host.machineId)) return 'avoid: the tender excludes this host';
	return undefined;
}

function refuseByResources(tender: Tender, host: HostView): string | undefined {
	const need = tender.requirements.resources;
	const free = host.ledger.free();
	if (need.memoryBytes > free.memoryBytes) {
		return `memory: needs ${binary(need.memoryBytes)}, ${binary(free.memoryBytes)} free`;
	}
	if (need.cpuMillis > free.cpuMillis) return `cpu: needs ${cores(need.cpuMillis)}, ${cores(free.cpuMillis)} free`;
	if (need.diskBytes > free.diskBytes) return `disk: needs ${binary(need.diskBytes)}, ${binary(free.diskBytes)} free`;
	return undefined;
}

function refuseByPorts(tender: Tender, host: HostView): string | undefined {
	const taken = tender.requirements.hostPorts.find((port) => host.ledger.portTaken(port));
	return taken === undefined ? undefined : `hostPort: needs ${taken.port}/${taken.protocol}, it is taken`;
}

function fitCount(need: Resources, free: Resources): number {
	const per = (needed: number, available: number): number =>
		needed === 0 ? Number.POSITIVE_INFINITY : Math.floor(available / needed);
	return Math.min(
		per(need.cpuMillis, free.cpuMillis),
		per(need.memoryBytes, free.memoryBytes),
		per(need.diskBytes, free.diskBytes),
	);
}

/** As Kubernetes writes quantities: `900Gi`, `1.5Gi`, `512Mi`. */
export function binary(bytes: number): string {
	for (const [unit, size] of [
		['Ti', 2 ** 40],
		['Gi', 2 ** 30],
		['Mi', 2 ** 20],
		['Ki', 2 ** 10],
	] as const) {
		if (bytes >= size) return `${trim(bytes / size)}${unit}`;
	}
	return String(bytes);
}

function cores(millis: number): string {
	return millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`;
}

function trim(value: number): string {
	// Rounded down: never claim more to be free than there is.
	return String(Math.floor(value * 10) / 10);
}
