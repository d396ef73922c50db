/**
 * Settings of one host: flags win over environment, environment over the config file (JSON), that over defaults.
 * Only `main.ts` calls this, with what it was started with.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MeshError } from '@beemesh/sdk/errors';
import { nameSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

const text = v.pipe(v.string('must be a text'), v.nonEmpty('must not be empty'));
const texts = v.record(v.string(), v.string('must be a text'), 'must be an object');
const name = v.pipe(
	text,
	v.check(
		(value) => v.is(nameSchema, value),
		({ input }) => `"${input}" is not a name of at most 63 lower-case letters, digits and '-'`,
	),
);
const ip = v.pipe(
	text,
	v.check(
		(value) => isIP(value) !== 0,
		({ input }) => `"${input}" is not an IP address`,
	),
);
const port = v.pipe(v.number('must be a number'), v.check(isPort, 'must be a whole number from 0 to 65535'));
const amount = v.pipe(
	v.number('must be a number'),
	v.check((value) => Number.isSafeInteger(value) && value >= 0, 'must be a whole number of at least 0'),
);
const oneOf = <const T extends readonly string[]>(words: T) =>
	v.picklist(words, ({ received }) => `${received} is not one of ${words.join(', ')}`);

const imageSchema = v.strictObject(
	{
		command: v.pipe(v.array(text, 'must be a list of texts'), v.nonEmpty('must not be empty')),
		cwd: v.optional(text),
		env: v.optional(texts),
	},
	'must be an object with the field "command"',
);

const schema = v.strictObject({
	/** Absent: see {@link hostNameOf}. */
	name: v.optional(name),
	/** File from `beectl mesh enroll`, needed once. */
	bundle: v.optional(text),
	/** Without enrolment: a mesh of this machine alone. */
	dev: v.boolean('must be true or false'),
	stateDir: text,
	socket: text,
	/** IP address that this host's QUIC port, replicas and published ports are bound to. */
	bind: ip,
	/** UDP port; 0 takes a free one. */
	port,
	/** IP address that others use, when it differs from `bind`. */
	advertise: v.optional(ip),
	join: v.array(text, 'must be a list of texts'),
	labels: texts,
	runtime: oneOf(['process', 'podman']),
	/** Process runtime: what an image name runs. */
	images: v.record(v.string(), imageSchema, 'must be an object'),
	podmanSocket: v.optional(text),
	/** File of what pods may do here beyond the default, per owner. */
	policy: v.optional(text),
	/** Kept back from workloads. */
	reserve: v.strictObject(
		{ cpuMillis: amount, memoryBytes: amount, diskBytes: amount },
		'must be an object with the fields cpuMillis, memoryBytes and diskBytes',
	),
	/** `address:port` for Prometheus; absent: no listener. */
	metrics: v.optional(
		v.pipe(
			text,
			v.check(
				(value) => parseEndpoint(value) !== undefined,
				({ input }) => `"${input}" is not ADDRESS:PORT`,
			),
		),
	),
	logLevel: oneOf(['debug', 'info', 'warn', 'error']),
	logFormat: oneOf(['json', 'text']),
});
export type HostConfig = v.InferOutput<typeof schema> & {
	/** What the operating system calls this machine, as a host's name. */
	readonly machineName: string;
};

/** What a host is called: as it was told, else as it was enrolled, else as its machine. */
export function hostNameOf(
	{ name, machineName }: Pick<HostConfig, 'name' | 'machineName'>,
	enrolledName: string | undefined,
): string {
	return name ?? enrolledName ?? machineName;
}

export const HELP = `hostd: runs workloads of a Beemesh mesh on this machine

Usage: hostd [options]
       hostd request [--invite FILE] [--name NAME] [--label KEY=VALUE] [--state-dir DIR]
                         print this machine's request for enrolment, for \`beectl mesh enroll\`

  --name NAME            name of this host             [BEEMESH_NAME; default: the one it was enrolled under,
                                                        else the machine's hostname]
  --bundle FILE          this machine's enrolment, from \`beectl mesh enroll\`; kept, so needed once [BEEMESH_BUNDLE]
  --dev                  without enrolment: a mesh of this machine alone, for development
  --state-dir DIR        key, pods and volumes         [BEEMESH_STATE_DIR; default: /var/lib/beemesh as root,
                                                        else ~/.local/state/beemesh]
  --socket PATH          local API for beectl          [BEEMESH_HOST; default: /run/beemesh/hostd.sock as root,
                                                        else beemesh/hostd.sock in $XDG_RUNTIME_DIR, or
                                                        in /tmp/beemesh-UID where that is not set]
  --bind IP              address to listen on          [BEEMESH_BIND; default: 127.0.0.1]
  --port N               UDP port (QUIC); 0: any free  [BEEMESH_PORT; default: 4700]
  --advertise IP         address that others dial      [BEEMESH_ADVERTISE; default: the bind address]
  --join ADDR            multiaddr of a known host; repeatable [BEEMESH_JOIN, comma-separated]
  --label KEY=VALUE      for nodeSelector; repeatable  [BEEMESH_LABELS, comma-separated]
                         counts when the certificate has it, or when KEY begins with self-declared.beemesh.io/
  --runtime NAME         process | podman              [BEEMESH_RUNTIME; default: podman]
  --podman-socket PATH   Podman's API socket           [BEEMESH_PODMAN_SOCKET; default: the system's]
  --policy FILE          JSON: what pods of which owner [BEEMESH_POLICY; default: nothing beyond what all may]
                         may do beyond the default; read once at start (docs/host-policy.md)
  --metrics ADDR:PORT    serve Prometheus metrics      [BEEMESH_METRICS; default: off]
  --log-level LEVEL      debug | info | warn | error   [BEEMESH_LOG_LEVEL; default: info]
  --log-format FORMAT    json | text                   [BEEMESH_LOG_FORMAT; default: text on a terminal, else json]
  --config FILE          JSON with any of these settings (camelCase), and \`images\` for the process runtime
  --version, --help

Signals: SIGTERM and SIGINT drain this host (its pods leave gracefully) and stop it; SIGKILL leaves pods running, and
the next hostd with the same state directory adopts them.

Exit codes: 0 stopped on request, 1 failed, 2 wrong usage or configuration.
`;

const options = {
	name: { type: 'string' },
	bundle: { type: 'string' },
	dev: { type: 'boolean' },
	'state-dir': { type: 'string' },
	socket: { type: 'string' },
	bind: { type: 'string' },
	port: { type: 'string' },
	advertise: { type: 'string' },
	join: { type: 'string', multiple: true },
	label: { type: 'string', multiple: true },
	runtime: { type: 'string' },
	'podman-socket': { type: 'string' },
	policy: { type: 'string' },
	metrics: { type: 'string' },
	'log-level': { type: 'string' },
	'log-format': { type: 'string' },
	config: { type: 'string' },
	invite: { type: 'string' },
	version: { type: 'boolean' },
	help: { type: 'boolean' },
} as const;

export type Invocation =
	| { readonly run: 'help' }
	| { readonly run: 'version' }
	/** `invite`: file that says which mesh this machine means to join. */
	| { readonly run: 'request'; readonly config: HostConfig; readonly invite: string | undefined }
	| { readonly run: 'host'; readonly config: HostConfig };

/** Throws `invalid_input` that names the flag, variable or field. */
export function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv, isTty: boolean): Invocation {
	const isRequest = argv[0] === 'request';
	const { invite, ...flags } = parseFlags(isRequest ? argv.slice(1) : argv);
	if (invite !== undefined && !isRequest)
		throw new MeshError('invalid_input', '--invite belongs to `hostd request`; see hostd --help');
	if (flags.help) return { run: 'help' };
	if (flags.version) return { run: 'version' };

	const file = flags.config === undefined ? {} : readConfigFile(flags.config);
	const isRoot = userInfo().uid === 0;
	// A variable that is empty counts as not set.
	const pick = (flag: string | undefined, variable: string): string | undefined => flag ?? (env[variable] || undefined);
	const given = dropUndefined({
		name: pick(flags.name, 'BEEMESH_NAME'),
		bundle: pick(flags.bundle, 'BEEMESH_BUNDLE'),
		dev: flags.dev,
		stateDir: pick(flags['state-dir'], 'BEEMESH_STATE_DIR'),
		socket: pick(flags.socket, 'BEEMESH_HOST'),
		bind: pick(flags.bind, 'BEEMESH_BIND'),
		port: portOf(pick(flags.port, 'BEEMESH_PORT')),
		advertise: pick(flags.advertise, 'BEEMESH_ADVERTISE'),
		join: flags.join ?? listOf(env['BEEMESH_JOIN']),
		labels: labelsOf(flags.label ?? listOf(env['BEEMESH_LABELS'])),
		runtime: pick(flags.runtime, 'BEEMESH_RUNTIME'),
		podmanSocket: pick(flags['podman-socket'], 'BEEMESH_PODMAN_SOCKET'),
		policy: pick(flags.policy, 'BEEMESH_POLICY'),
		metrics: pick(flags.metrics, 'BEEMESH_METRICS'),
		logLevel: pick(flags['log-level'], 'BEEMESH_LOG_LEVEL'),
		logFormat: pick(flags['log-format'], 'BEEMESH_LOG_FORMAT'),
	});
	const runtimeDir = isRoot ? '/run' : (env['XDG_RUNTIME_DIR'] ?? `/tmp/beemesh-${userInfo().uid}`);
	const defaults = {
		dev: false,
		stateDir: isRoot ? '/var/lib/beemesh' : join(env['HOME'] ?? '.', '.local/state/beemesh'),
		socket: join(runtimeDir, 'beemesh/hostd.sock'),
		bind: '127.0.0.1',
		port: 4700,
		join: [],
		labels: {},
		runtime: 'podman',
		images: {},
		reserve: { cpuMillis: 0, memoryBytes: 128 * 1024 ** 2, diskBytes: 512 * 1024 ** 2 },
		logLevel: 'info',
		logFormat: isTty ? 'text' : 'json',
	};
	const parsed = v.safeParse(schema, { ...defaults, ...file, ...given });
	if (!parsed.success) {
		const [issue] = parsed.issues;
		const setting = String(issue.path?.[0]?.key ?? '');
		const from = flags.config !== undefined && setting in file && !(setting in given) ? `${flags.config}: ` : '';
		throw new MeshError('invalid_input', `${from}setting ${v.getDotPath(issue) ?? setting}: ${tell(issue)}`);
	}
	const { stateDir, socket } = parsed.output;
	const machineName = nameFrom(hostname());
	const config = { ...parsed.output, machineName, stateDir: resolve(stateDir), socket: resolve(socket) };
	return isRequest ? { run: 'request', config, invite } : { run: 'host', config };
}

/** Ours where we gave a message; valibot's own words for fields that are missing or too many. */
function tell(issue: v.BaseIssue<unknown>): string {
	if (issue.type !== 'strict_object') return issue.message;
	if (issue.expected === 'never') return 'there is no such setting; see hostd --help';
	return issue.received === 'undefined' ? 'is required' : issue.message;
}

/** A machine's name as a host's name. */
export function nameFrom(machine: string): string {
	const [first = ''] = machine.toLowerCase().split('.');
	const letters = first.replaceAll(/[^a-z0-9]/g, '-').slice(0, 63);
	return letters.replaceAll(/^-+|-+$/g, '') || 'host';
}

/** `127.0.0.1:9090`, `[::1]:9090`; undefined when it is none. */
export function parseEndpoint(where: string): { readonly host: string; readonly port: number } | undefined {
	const match = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(where);
	const host = match?.[1] ?? match?.[2];
	const port = Number(match?.[3]);
	return host === undefined || !isPort(port) ? undefined : { host, port };
}

function isPort(value: number): boolean {
	return Number.isInteger(value) && value >= 0 && value <= 65_535;
}

function parseFlags(argv: readonly string[]) {
	try {
		return parseArgs({ args: [...argv], options, strict: true }).values;
	} catch (error) {
		const [what = ''] = (error as Error).message.split(/\.\s/);
		throw new MeshError('invalid_input', `${what}; see hostd --help`);
	}
}

function readConfigFile(path: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
		if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	} catch (cause) {
		throw new MeshError('invalid_input', `cannot read the config file ${path}: ${(cause as Error).message}`, { cause });
	}
	throw new MeshError('invalid_input', `the config file ${path} is not a JSON object`);
}

function listOf(text: string | undefined): string[] | undefined {
	return text === undefined || text === '' ? undefined : text.split(',').filter((part) => part !== '');
}

function portOf(text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	if (!isPort(value)) throw new MeshError('invalid_input', `port "${text}" is not a whole number from 0 to 65535`);
	return value;
}

function labelsOf(pairs: readonly string[] | undefined): Record<string, string> | undefined {
	if (pairs === undefined) return undefined;
	return Object.fromEntries(
		pairs.map((pair) => {
			const at = pair.indexOf('=');
			if (at < 1) throw new MeshError('invalid_input', `label "${pair}" is not KEY=VALUE`);
			return [pair.slice(0, at), pair.slice(at + 1)];
		}),
	);
}

function dropUndefined(object: Record<string, unknown>): Record<string, unknown> {
	return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
