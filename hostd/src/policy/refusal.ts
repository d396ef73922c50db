/** How this host says no to a pod: the field, the reason, and the key of the policy file that would allow it. Pure. */
import { MeshError } from '@beemesh/sdk/errors';

/** Without a `key`, no policy file can allow it. */
export function refused(field: string, reason: string, key?: string): MeshError {
	const help =
		key === undefined
			? 'no policy file can allow it'
			: `the host's operator can allow it with ${key} in hostd --policy`;
	return new MeshError('invalid_input', `${field}: refused by this host's policy: ${reason}; ${help}`);
}
