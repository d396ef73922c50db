/** web-frontend's settings, from the command line (development) or from what the host gave the pod. */
import { addressFlag, type HttpAddress, parseFlags, podAddress, UsageError } from '@beemesh/example-kv-store/kit';

export const HELP = `web-frontend: a page that reads and writes the keys of a kv-store

In a pod it takes everything from its host. On your own machine, beside a kv-store started with --dev:

  web-frontend --dev --http HOST:PORT [--name NAME] [--store NAME]

  --dev           join the development mesh of this machine instead of a host's
  --http ADDRESS  where to serve the page, such as 127.0.0.1:8080
  --name NAME     the name of this frontend (default: web-frontend)
  --store NAME    the kv-store to call (default: kv-store); also as KV_STORE in the environment
  --help          this text
`;

export interface Options {
	/** Set in development: the name of this frontend. */
	readonly devName?: string;
	readonly http: HttpAddress;
	/** The workload to call. */
	readonly store: string;
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
		store: { type: 'string' },
		help: { type: 'boolean', short: 'h' },
	});
	if (flags.help === true) return 'help';
	const store = flags.store ?? env['KV_STORE'] ?? 'kv-store';
	if (flags.dev !== true) {
		const [given] = Object.keys(flags);
		if (given !== undefined) throw new UsageError(`--${given} works only together with --dev`);
		return { http: podAddress(env), store };
	}
	const http = addressFlag('http', flags.http, '127.0.0.1:8080');
	return { devName: flags.name ?? 'web-frontend', http, store };
}
