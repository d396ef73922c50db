/**
 * Identifiers. Each is a distinct branded string, so that mixing the planes does not compile.
 * Peer IDs are libp2p's (Ed25519, base58btc); owner and workload IDs are CIDs.
 */
export type PeerId = string & { readonly __peer: true };
/** The libp2p peer ID of one hostd. */
export type MachineId = PeerId & { readonly __machine: true };
/** The libp2p peer ID of one replica's process; its key never leaves that process. */
export type ReplicaId = PeerId & { readonly __replica: true };
/** CID of the owner's public key. */
export type OwnerId = string & { readonly __owner: true };
/** CID of the workload's Genesis record. */
export type WorkloadId = string & { readonly __workload: true };
/** CID (v1, dag-cbor, sha2-256, base32) of a record's unsigned body. */
export type RecordCid = string & { readonly __cid: true };

/** Most slots a workload can have. Bounds memory, and makes {@link raftMemberId} collision-free. */
export const SLOTS_MAX = 1024;

/**
 * The Raft member id of a (slot, generation) pair: unique, never reused, the same after a restart in place.
 * A replacement has a higher generation and so is a *new* member (never an old vote in a new process).
 */
export function raftMemberId(slot: number, gen: number): number {
	return gen * SLOTS_MAX + slot + 1;
}

/** Inverse of {@link raftMemberId}. */
export function slotOfMember(id: number): { slot: number; gen: number } {
	return { slot: (id - 1) % SLOTS_MAX, gen: Math.floor((id - 1) / SLOTS_MAX) };
}
