/** What the owner of a pod last said, as it was kept: read again when a restarted hostd takes the pod back. Pure. */
import { requirementsOf } from '@beemesh/sdk/api';
import { isMeshError, type MeshError } from '@beemesh/sdk/errors';
import { type OpenedBundle, openBundle } from '@beemesh/sdk/identity';
import type { Bundle, Resources } from '@beemesh/sdk/wire';

/** `error`: the charter has expired, or what it names cannot be run. One owner's word must not keep a host from starting. */
export type KeptBundle =
	| { readonly opened: OpenedBundle; readonly resources: Resources }
	| { readonly error: MeshError };

export function openKept(bundle: Bundle, nowMs: number): KeptBundle {
	try {
		const opened = openBundle(bundle, nowMs);
		return { opened, resources: requirementsOf(opened.manifest).resources };
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return { error };
	}
}
