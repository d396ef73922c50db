/**
 * One hostd per state folder. Two would adopt the same pods, and the second to stop would drain those of the first.
 * The lock file names its holder exactly, so that what a killed hostd left behind is told from one that runs.
 */
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '@beemesh/sdk/errors';
import { identify, isAlive, type ProcessIdentity } from './runtime/proc.ts';

/** A hostd that was killed a moment ago still shows as running until the system has taken its memory back. */
const DYING_MS = 2_000;
const LOOK_EVERY_MS = 50;

/** Systems without /proc know a process by its number alone. */
type Holder = Pick<ProcessIdentity, 'pid'> & Partial<ProcessIdentity>;

/**
 * Makes the folder, closes it to others and holds it until disposed. Throws `conflict` while another hostd holds it,
 * `unavailable` when this user cannot use it.
 */
export async function holdStateDir(stateDir: string): Promise<AsyncDisposable> {
	const lock = join(stateDir, 'hostd.lock');
	const mine: Holder = identify(process.pid) ?? { pid: process.pid };
	const fresh = `${lock}.${process.pid}`;
	try {
		await mkdir(stateDir, { recursive: true, mode: 0o700 });
		await chmod(stateDir, 0o700);
		await writeFile(fresh, `${JSON.stringify(mine)}\n`, { mode: 0o600 });
	} catch (cause) {
		throw new MeshError(
			'unavailable',
			`cannot use ${stateDir} as the state folder: ${(cause as Error).message}; run hostd as the user that owns it, or ` +
				'choose another folder with --state-dir',
			{ cause, retryable: false },
		);
	}
	try {
		await take(lock, fresh, stateDir);
	} finally {
		await rm(fresh, { force: true });
	}
	return { [Symbol.asyncDispose]: () => rm(lock, { force: true }) };
}

async function take(lock: string, fresh: string, stateDir: string): Promise<void> {
	const untilMs = Date.now() + DYING_MS;
	for (;;) {
		if (await linked(fresh, lock)) return;
		const holder = await holderOf(lock);
		if (holder === undefined) continue;
		if (!runs(holder)) await putAside(lock, fresh, holder);
		else if (Date.now() < untilMs) await delay(LOOK_EVERY_MS);
		else {
			throw new MeshError(
				'conflict',
				`another hostd (pid ${holder.pid}) uses the state folder ${stateDir}: stop it, or choose another folder with ` +
					'--state-dir',
			);
		}
	}
}

/** link fails when the lock exists, so of two that start at once one holds it. */
async function linked(fresh: string, lock: string): Promise<boolean> {
	try {
		await link(fresh, lock);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
		throw error;
	}
}

/** Takes a dead holder's lock away; another's that came in between is put back. */
async function putAside(lock: string, fresh: string, dead: Holder): Promise<void> {
	const aside = `${fresh}.old`;
	await rename(lock, aside).catch(() => undefined);
	const moved = await holderOf(aside);
	if (moved !== undefined && (moved.pid !== dead.pid || moved.startTicks !== dead.startTicks))
		await linked(aside, lock);
	await rm(aside, { force: true });
}

/** Undefined: there is no lock. A lock that cannot be read is that of no process. */
async function holderOf(path: string): Promise<Holder | undefined> {
	let text: string;
	try {
		text = await readFile(path, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw error;
	}
	try {
		const holder = JSON.parse(text) as Holder;
		return Number.isSafeInteger(holder.pid) && holder.pid > 0 ? holder : { pid: 0 };
	} catch {
		return { pid: 0 };
	}
}

function runs({ pid, startTicks, bootId }: Holder): boolean {
	if (pid === 0) return false;
	if (startTicks !== undefined && bootId !== undefined) return isAlive({ pid, startTicks, bootId });
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
}
