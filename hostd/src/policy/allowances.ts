/** What an operator allows beyond the default: the policy file's content, and what of it counts for one owner. Pure. */
import { posix } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import type { OwnerId } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { fields, flag, list, maybe, pathOf, text, whole } from './fields.ts';

/** Linux capabilities as Kubernetes spells them, of kernel 6.x; `ALL` is every one. */
const CAPABILITIES = `ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
	DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
	NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT
	SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`.split(/\s+/);

/** A path that is what it looks like: absolute, without `.`, `..`, `//`, a slash at the end, or what engines split at. */
export function isPlainPath(path: string): boolean {
	return path.startsWith('/') && !/[\0:]/.test(path) && posix.normalize(path).replace(/(?<=.)\/$/, '') === path;
}

/** The same path, or one below it. */
export function isWithin(path: string, folder: string): boolean {
	return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

const path = v.pipe(
	text(),
	v.check(isPlainPath, "must be an absolute path without '.', '..', '//', ':' and a slash at the end"),
);

const allowances = fields('an allowance', {
	/** Kernel-level power over the whole host. */
	privileged: maybe(flag),
	hostNetwork: maybe(flag),
	capabilities: maybe(
		list(v.picklist(CAPABILITIES, ({ input }) => `${String(input)} is no capability; spell it as in NET_BIND_SERVICE`)),
	),
	/** Writable: exactly this path. Read-only: also everything below it. */
	hostPaths: maybe(list(fields('an entry of hostPaths', { path, readOnly: maybe(flag) }))),
	devices: maybe(list(v.pipe(path, v.startsWith('/dev/', 'must be a file below /dev')))),
	hostPorts: maybe(
		list(
			v.pipe(
				fields('an entry of hostPorts', { from: whole(1, 65_535), to: whole(1, 65_535) }),
				v.check(({ from, to }) => from <= to, '"from" must not be above "to"'),
			),
		),
	),
});

const policySchema = v.pipe(
	fields('a policy', {
		default: maybe(allowances),
		owners: maybe(
			v.record(
				v.pipe(v.string(), v.regex(/^b[a-z2-7]{20,}$/, 'is not the id of an owner; beectl owner show prints it')),
				allowances,
				'must be an object: allowances by owner id',
			),
		),
	}),
);

export type Allowances = v.InferOutput<typeof allowances>;
export type PolicyContent = v.InferOutput<typeof policySchema>;

/** Throws `invalid_input` naming file, key and the keys that there are. `where` is the file. */
export function parsePolicy(json: string, where: string): PolicyContent {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (cause) {
		throw new MeshError('invalid_input', `the policy file ${where} is not JSON: ${(cause as Error).message}`, {
			cause,
		});
	}
	const parsed = v.safeParse(policySchema, value, { abortEarly: true });
	if (!parsed.success) {
		const [issue] = parsed.issues;
		const key = pathOf(issue, '');
		throw new MeshError('invalid_input', `the policy file ${where}: ${key === '' ? '' : `${key}: `}${issue.message}`);
	}
	checkOverlaps(parsed.output, where);
	return parsed.output;
}

/** What counts for an owner: that of all owners, and their own. */
export function allowancesOf(policy: PolicyContent, owner: OwnerId | undefined): readonly Allowances[] {
	const { owners = {} } = policy;
	const own = owner !== undefined && Object.hasOwn(owners, owner) ? owners[owner] : undefined;
	return [policy.default, own].filter((each) => each !== undefined);
}

/** Of all owners, with the place of each in the file. */
export function hostPathsOf(policy: PolicyContent) {
	const all = [
		['default', policy.default] as const,
		...Object.entries(policy.owners ?? {}).map(([id, each]) => [`owners.${id}`, each] as const),
	];
	return all.flatMap(([at, each]) =>
		(each?.hostPaths ?? []).map((entry, index) => ({ ...entry, at: `${at}.hostPaths[${index}]` })),
	);
}

/**
 * Whoever writes a folder decides where the paths below it lead, also a moment after they were looked at. So nothing below
 * a folder that pods may write is ever mounted.
 */
function checkOverlaps(policy: PolicyContent, where: string): void {
	const entries = hostPathsOf(policy);
	for (const writable of entries.filter(({ readOnly }) => readOnly !== true)) {
		const below = entries.find(({ path }) => path !== writable.path && isWithin(path, writable.path));
		if (below === undefined) continue;
		throw new MeshError(
			'invalid_input',
			`the policy file ${where}: ${below.at}.path: ${below.path} lies below ${writable.path} of ${writable.at}, which pods ` +
				'may write, and so could make it lead anywhere: set "readOnly": true there, or choose folders side by side',
		);
	}
}
