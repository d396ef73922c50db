/** Where the host paths of a pod really lead, looked at when it is started. The one part of the policy that does I/O. */
import type { Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Volume } from '@beemesh/sdk/wire';
import { type Allowances, isWithin } from './allowances.ts';
import { isDevice, pathAllowances } from './pod-rules.ts';
import { refused } from './refusal.ts';

type HostPath = NonNullable<Volume['hostPath']>;

/**
 * Never given to a pod, whatever the operator allows: who has one of these is the host. Nor is a folder that holds one.
 */
export const PROTECTED: readonly string[] = [
	'/proc',
	'/sys',
	'/dev',
	'/run/containerd',
	'/run/containers',
	'/run/crio',
	'/run/docker.sock',
	'/run/podman',
	'/run/systemd',
	'/run/user',
	'/var/lib/containers',
	'/var/lib/docker',
	join(homedir(), '.local/share/containers'),
];

export interface PathContext {
	readonly allowances: readonly Allowances[];
	/** Those of {@link PROTECTED} and this host's own. */
	readonly protectedPaths: readonly string[];
	/** Folders that pods of any owner may write. */
	readonly writablePaths: readonly string[];
}

/** The path with every symbolic link resolved, when that too is allowed. Throws `invalid_input` naming the field. */
export async function resolveHostPath(hostPath: HostPath, context: PathContext, at: string): Promise<string> {
	const { path } = hostPath;
	const found = await look(path);
	if (found === undefined) {
		throw refused(`${at}.path`, `there is no ${path} on this host, and hostd makes nothing outside its own folders`);
	}
	const { real, stats } = found;
	checkType(hostPath, stats, at);
	if (isDevice(hostPath)) {
		if (isWithin(real, '/dev')) return real;
		throw refused(`${at}.path`, `${path} leads to ${real}, which is not below /dev`);
	}
	for (const place of context.protectedPaths) {
		const secret = (await look(place))?.real ?? place;
		if (isWithin(real, secret) || isWithin(secret, real)) {
			throw refused(`${at}.path`, `${path} gives access to ${place}, which no pod may have`);
		}
	}
	for (const folder of context.writablePaths) {
		const written = (await look(folder))?.real;
		if (written !== undefined && written !== real && isWithin(real, written)) {
			throw refused(`${at}.path`, `${path} lies below ${folder}, which pods may write and so could redirect`);
		}
	}
	if (!(await leadsInside(path, real, context.allowances))) {
		throw refused(`${at}.path`, `${path} leads to ${real}, outside the folders that are allowed`);
	}
	return real;
}

/** Also after all links were followed on both sides, an entry that allowed the path must hold it. */
async function leadsInside(path: string, real: string, allowances: readonly Allowances[]): Promise<boolean> {
	for (const entry of pathAllowances(path, allowances)) {
		const folder = (await look(entry.path))?.real;
		if (folder !== undefined && (entry.readOnly === true ? isWithin(real, folder) : real === folder)) return true;
	}
	return false;
}

const KINDS: readonly (readonly [type: NonNullable<HostPath['type']>, is: (stats: Stats) => boolean])[] = [
	['Directory', (stats) => stats.isDirectory()],
	['File', (stats) => stats.isFile()],
	['Socket', (stats) => stats.isSocket()],
	['CharDevice', (stats) => stats.isCharacterDevice()],
	['BlockDevice', (stats) => stats.isBlockDevice()],
];

/** A device must be called one, as devices are allowed apart from folders. */
function checkType(hostPath: HostPath, stats: Stats, at: string): void {
	const type = KINDS.find(([, is]) => is(stats))?.[0];
	if (type === undefined) throw refused(`${at}.path`, `${hostPath.path} is no folder, file, socket or device`);
	const isAsTold = hostPath.type === type || (!hostPath.type && !isDevice({ path: hostPath.path, type }));
	if (!isAsTold) throw refused(`${at}.type`, `${hostPath.path} is a ${type} on this host: say so`);
}

async function look(path: string): Promise<{ readonly real: string; readonly stats: Stats } | undefined> {
	try {
		const real = await realpath(path);
		return { real, stats: await stat(real) };
	} catch {
		// Not there, or not for us to see: then it is not for pods either.
		return undefined;
	}
}
