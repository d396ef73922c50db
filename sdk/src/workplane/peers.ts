/** Replicas as apps see them, from what the directory knows. */
import type { Directory, PeerPrincipal } from '../discovery/index.ts';
import type { ServiceRecord } from '../wire/index.ts';
import type { Replica } from './types.ts';

export interface ReplicaFacts {
	readonly record: ServiceRecord;
	/** Name of the workload. */
	readonly workload: string;
	readonly rttMs: number | undefined;
}

export function toReplica({ record, workload, rttMs }: ReplicaFacts): Replica {
	return {
		peer: record.replicaId,
		workload,
		ready: record.ready && !record.left,
		slot: record.slot,
		gen: record.gen,
		...(record.zone === undefined ? {} : { zone: record.zone }),
		...(rttMs === undefined ? {} : { rttMs }),
		version: record.version,
		labels: { machine: record.machineId },
	};
}

/** The replica at the other end of a session, by its newest record. */
export function replicaOf(directory: Directory, principal: PeerPrincipal): Replica {
	const { cert, advertisement } = principal;
	const record = directory.view(cert.wid).get(cert.replicaId)?.record ?? advertisement.record;
	return toReplica({ record, workload: cert.name, rttMs: directory.node.get(cert.replicaId)?.rttMs });
}

/** Whether a record says that this contract is served: same name, same major version. */
export function serves(record: ServiceRecord, contract: { readonly name: string; readonly version: string }): boolean {
	const prefix = `${contract.name}@${contract.version.split('.', 1)[0]}`;
	return record.services.some((service) => service === prefix || service.startsWith(`${prefix}.`));
}
