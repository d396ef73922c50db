/**
 * An owner as others know it: its public record, signed with the key that it names; and its word that a workload is over,
 * which anybody may pass on, for it says nothing of what the workload was.
 */
import { MeshError } from '../errors.ts';
import { type Charter, LIMITS } from '../wire/index.ts';
import { type KeyPair, ownerIdOf } from './keys.ts';
import { type OpenedRecord, openRecord, signRecord } from './records.ts';
import { genesisFor, workloadIdOf } from './workload.ts';

/** Verifies an owner's public record: signed with the key that it names, under the ID of that key. */
export function openOwnerRoot(envelope: Uint8Array): OpenedRecord<'owner-root'> {
	return openRecord('owner-root', envelope, ({ owner, sigKey }) => (ownerIdOf(sigKey) === owner ? [sigKey] : []));
}

/** Says that a workload is over, under the era of the charter that deleted it. */
export function signWorkloadEnd(
	{ kind, namespace, name, era }: Pick<Charter, 'kind' | 'namespace' | 'name' | 'era'>,
	owner: KeyPair,
	nowMs: number,
): Uint8Array {
	const genesis = genesisFor(owner.publicKey, kind, namespace, name);
	return signRecord('workload-end', { wid: workloadIdOf(genesis), ...genesis, era, ts: nowMs }, owner);
}

/** Verifies it alone: the owner and its salt make the workload's ID. Throws `unauthorized`. */
export function openWorkloadEnd(envelope: Uint8Array, nowMs: number): OpenedRecord<'workload-end'> {
	const end = openRecord('workload-end', envelope);
	const { wid, owner, salt, ts } = end.body;
	if (ownerIdOf(end.signer) !== owner || workloadIdOf({ owner, salt }) !== wid)
		throw new MeshError('unauthorized', 'the end of this workload is not signed by its owner');
	if (ts > nowMs + LIMITS.skewMs) throw new MeshError('unauthorized', 'the end of this workload is not yet valid');
	return end;
}
