/** Where the host, the keys and the mesh of this user are. */
import { homedir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Files } from './command.ts';
import type { Input } from './input.ts';

interface Located {
	readonly socket: string;
	readonly files: Files;
	readonly passphraseFile: string | undefined;
}

/** A flag wins over the environment, that over the default. A variable that is empty counts as not set. */
export function locate(input: Input, env: Readonly<Record<string, string | undefined>>): Located {
	const { uid } = userInfo();
	// Where `hostd` listens unless it is told otherwise.
	const runtimeDir = uid === 0 ? '/run' : env.XDG_RUNTIME_DIR || `/tmp/beemesh-${uid}`;
	const configDir = join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'beemesh');
	const owner = input.text('owner') ?? (env.BEEMESH_OWNER || join(configDir, 'owner.key'));
	return {
		socket: input.text('host') ?? (env.BEEMESH_HOST || join(runtimeDir, 'beemesh', 'hostd.sock')),
		files: {
			owner,
			mesh: input.text('mesh') ?? (env.BEEMESH_MESH || join(configDir, 'mesh.json')),
			knownMesh: join(dirname(owner), 'known-mesh'),
			genesis: input.text('mesh-genesis') ?? (env.BEEMESH_GENESIS || undefined),
		},
		passphraseFile: input.text('passphrase-file') ?? (env.BEEMESH_PASSPHRASE_FILE || undefined),
	};
}
