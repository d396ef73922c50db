/** kv-store's settings, from the command line (development) or from what the host gave the pod. */
import { addressFlag, type HttpAddress, parseFlags, podAddress, UsageError } from './kit/index.ts';

export const HELP = `kv-store: a replicated key-value store over HTTP

In a pod it takes everything from its host. On your own machine, start three of these and they form a cluster:

  kv-store --dev --name NAME --http HOST:PORT --data DIR

  --dev           join the development mesh of this machine instead of a host's
  --name NAME     the cluster to form or join (default: kv-store)
  --http ADDRESS  where to serve HTTP, such as 127.0.0.1:8081
  --data DIR      this replica's own directory for its Raft log; made if missing
  --snapshot-after KIB
                  how much log to write before a snapshot of the keys takes its place (default: 32768)
  --help          this text
`;

export interface Options {
	/** Set in development: the name of the cluster. */
	readonly devName?: string;
	readonly http: HttpAddress;
	readonly dataDir: string;
	readonly snapshotAfterBytes?: number;
}

/** `'help'` when help is asked for. Throws {@link UsageError}. */
export function readOptions(
	argv: readonly string[],
	env: Readonly<Record<string, string | undefined>>,
): Options | 'help' {
	const flags = parseFlags(argv, {
		dev: { type: 'boolean' },
		name: { type: 'string' },
		http: { type: 'string' },
		data: { type: 'string' },
		'snapshot-after': { type: 'string' },
		help: { type: 'boolean', short: 'h' },
	});
	if (flags.help === true) return 'help';
	if (flags.dev !== true) {
		const [given] = Object.keys(flags);
		if (given !== undefined) throw new UsageError(`--${given} works only together with --dev`);
		return { http: podAddress(env), dataDir: env['BEEMESH_VOLUME_DATA'] ?? '/data' };
	}
	const http = addressFlag('http', flags.http, '127.0.0.1:8081');
	if (flags.data === undefined) throw new UsageError('--data is missing; name a directory of this replica alone');
	const options = { devName: flags.name ?? 'kv-store', http, dataDir: flags.data };
	const after = flags['snapshot-after'];
	return after === undefined ? options : { ...options, snapshotAfterBytes: kibibytes('snapshot-after', after) };
}

function kibibytes(flag: string, text: string): number {
	const kib = Number(text);
	if (!/^\d{1,9}$/.test(text) || kib === 0)
		throw new UsageError(`--${flag} is a number of KiB from 1 on, not '${text}'`);
	return kib * 1024;
}
