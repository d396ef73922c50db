/**
 * How far a tender travels: outward ring by ring until there are enough bids, never further. A mesh of up to 64 hosts
 * is one ring, the root topic. Samples and scopes of a larger mesh take their places before it in this list.
 */

export interface Ring {
	/** Name of the topic on which the tender is published. */
	readonly scope: string;
}

export const ROOT_RING: Ring = { scope: 'root' };

export const DEFAULT_RINGS: readonly Ring[] = [ROOT_RING];

/** In a mesh up to this size every host answers, also those that decline: `starved` can then say why. */
export const SMALL_MESH_HOSTS_MAX = 64;
