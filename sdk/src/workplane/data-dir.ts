/** Where a pod's replica keeps its state: the host names the directories of its volumes in the environment. */

/**
 * `BEEMESH_DATA_DIR` where somebody chose; else `BEEMESH_VOLUME_DATA`, the volume claim named `data`. Undefined: the
 * pod has no such volume, and what it holds ends with its container.
 */
export function dataDirOf(env: NodeJS.ProcessEnv): string | undefined {
	return env['BEEMESH_DATA_DIR'] || env['BEEMESH_VOLUME_DATA'] || undefined;
}
