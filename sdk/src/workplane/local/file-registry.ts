/**
 * A registry in a private folder that the processes of one user and machine share: `dev` mode. Each process keeps a
 * file per slot it holds and one entry; files of processes that are gone count for nothing. A data directory remembers
 * its slot, so that a restart comes back as the same member.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { MeshError } from '../../errors.ts';
import { memberHintSchema } from '../../replicas/placement-api.ts';
import { genSchema, slotSchema, workloadIdSchema } from '../../wire/index.ts';
import { currentProcess, isAlive, processSchema } from './process-id.ts';
import type { Claim, Entry, LocalRegistry } from './registry.ts';

const SLOT_FILE = 'beemesh-slot.json';
const LOCK_TRIES_MS = 5000;

const slotSchemaOnDisk = v.object({
	slot: slotSchema,
	gen: genSchema,
	incarnation: v.number(),
	/** Real path of its data directory; empty: it keeps nothing. */
	data: v.string(),
	process: processSchema,
});
type SlotFile = v.InferOutput<typeof slotSchemaOnDisk>;

/** In a data directory: which slot its state belongs to. */
const ownSlotSchema = v.object({ slot: slotSchema, gen: genSchema, incarnation: v.number() });

const entrySchema = v.object({
	...memberHintSchema.entries,
	wid: workloadIdSchema,
	workload: v.string(),
	process: processSchema,
});

/** The folder of all dev meshes of this user: on a file system that a reboot empties, where there is one. */
export function devFolder(env: NodeJS.ProcessEnv = process.env): string {
	return join(env['XDG_RUNTIME_DIR'] ?? tmpdir(), `beemesh-dev-${process.getuid?.() ?? 'user'}`);
}

export async function openFileRegistry(mesh: string, folder = devFolder()): Promise<LocalRegistry> {
	const root = join(folder, mesh);
	await mkdir(root, { recursive: true, mode: 0o700 });
	await requirePrivate(folder);
	const entriesDir = join(root, 'entries');
	await mkdir(entriesDir, { recursive: true, mode: 0o700 });
	const rostersDir = join(root, 'rosters');
	await mkdir(rostersDir, { recursive: true, mode: 0o700 });
	const entryPath = (replicaId: string): string => join(entriesDir, `${replicaId}.json`);

	return {
		ownerSeed: () => sharedSecret(join(root, 'owner.key')),
		claim: (workload, data) => claimSlot(join(root, 'slots', workload), data),
		async publish(entry) {
			await replaceFile(entryPath(entry.replicaId), JSON.stringify({ ...entry, process: await currentProcess() }));
		},
		withdraw: (replicaId) => rm(entryPath(replicaId), { force: true }),
		roster: (wid) => readBytes(join(rostersDir, wid)),
		async changeRoster(wid, change) {
			const path = join(rostersDir, wid);
			const unlock = await lock(`${path}.lock`);
			try {
				const roster = change(await readBytes(path));
				await replaceFile(path, roster);
				return roster;
			} finally {
				await unlock();
			}
		},
		async entries() {
			const found: Entry[] = [];
			for (const file of await readdir(entriesDir)) {
				const path = join(entriesDir, file);
				const entry = await readJson(path, entrySchema);
				if (entry === undefined) continue;
				if (await isAlive(entry.process)) found.push(entry);
				else await rm(path, { force: true });
			}
			return found;
		},
	};
}

async function claimSlot(dir: string, data: string | undefined): Promise<Claim> {
	await mkdir(dir, { recursive: true, mode: 0o700 });
	if (data !== undefined) await mkdir(data, { recursive: true, mode: 0o700 });
	const dataPath = data === undefined ? '' : await realpath(data);
	const unlock = await lock(join(dir, 'lock'));
	try {
		const slots = await readSlots(dir);
		const mine = await chooseSlot(slots, dataPath);
		const file: SlotFile = { ...mine, data: dataPath, process: await currentProcess() };
		if (data !== undefined) await replaceFile(join(data, SLOT_FILE), JSON.stringify(mine));
		const path = join(dir, `${mine.slot}.json`);
		await replaceFile(path, JSON.stringify(file));
		return {
			...mine,
			async release() {
				const now = await readJson(path, slotSchemaOnDisk);
				const isOurs = now?.gen === mine.gen && now.incarnation === mine.incarnation;
				// The slot stays known, so that its next holder gets the next generation.
				if (isOurs) await replaceFile(path, JSON.stringify({ ...file, process: { pid: 0, start: '' } }));
			},
		};
	} finally {
		await unlock();
	}
}

async function chooseSlot(
	slots: ReadonlyMap<number, SlotFile>,
	data: string,
): Promise<{ slot: number; gen: number; incarnation: number }> {
	const own = data === '' ? undefined : await readJson(join(data, SLOT_FILE), ownSlotSchema);
	if (own !== undefined) {
		const known = slots.get(own.slot);
		if (known !== undefined && known.gen === own.gen && known.data === data && (await isAlive(known.process))) {
			throw new MeshError(
				'conflict',
				`process ${known.process.pid} uses the data directory ${data}: stop it, or name another`,
			);
		}
		// Newer holders have displaced this directory's generation; else it comes back as what it was.
		if (known === undefined || known.gen <= own.gen) {
			return { ...own, incarnation: Math.max(own.incarnation, known?.gen === own.gen ? known.incarnation : 0) + 1 };
		}
	}
	// The same directory without its slot file has lost its disk: its slot again, as a new member.
	const wiped = data === '' ? undefined : [...slots.values()].find((s) => s.data === data);
	if (wiped !== undefined && !(await isAlive(wiped.process)))
		return { slot: wiped.slot, gen: wiped.gen + 1, incarnation: 0 };
	for (let slot = 0; ; slot++) {
		const known = slots.get(slot);
		if (known === undefined) return { slot, gen: 1, incarnation: 0 };
		if (!(await isAlive(known.process))) return { slot, gen: known.gen + 1, incarnation: 0 };
	}
}

async function readSlots(dir: string): Promise<Map<number, SlotFile>> {
	const slots = new Map<number, SlotFile>();
	for (const file of await readdir(dir)) {
		if (!/^\d+\.json$/.test(file)) continue;
		const slot = await readJson(join(dir, file), slotSchemaOnDisk);
		if (slot !== undefined) slots.set(slot.slot, slot);
	}
	return slots;
}

/** The first process makes it; a link appears at once and whole, and never twice. */
async function sharedSecret(path: string): Promise<Uint8Array> {
	for (;;) {
		const seed = await readFile(path).catch(() => undefined);
		if (seed?.byteLength === 32) return new Uint8Array(seed);
		const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
		await writeFile(draft, randomBytes(32), { mode: 0o600, flag: 'wx' });
		await link(draft, path).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== 'EEXIST') throw error;
		});
		await rm(draft, { force: true });
	}
}

async function lock(path: string): Promise<() => Promise<void>> {
	const untilMs = performance.now() + LOCK_TRIES_MS;
	const text = JSON.stringify(await currentProcess());
	for (;;) {
		try {
			const file = await open(path, 'wx', 0o600);
			await file.writeFile(text);
			await file.close();
			return () => rm(path, { force: true });
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
		}
		const holder = await readJson(path, processSchema);
		// A file still being written has no holder yet; a holder that was killed never lets go.
		if (holder !== undefined && !(await isAlive(holder))) await rm(path, { force: true });
		else if (performance.now() > untilMs)
			throw new MeshError('unavailable', `${path} stays locked: remove it if no process uses it`);
		else await new Promise((resolve) => setTimeout(resolve, 10));
	}
}

async function readBytes(path: string): Promise<Uint8Array | undefined> {
	return readFile(path).then(
		(bytes) => new Uint8Array(bytes),
		() => undefined,
	);
}

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
	const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
	await writeFile(draft, content, { mode: 0o600 });
	await rename(draft, path);
}

async function readJson<S extends v.GenericSchema>(path: string, schema: S): Promise<v.InferOutput<S> | undefined> {
	try {
		const parsed = v.safeParse(schema, JSON.parse(await readFile(path, 'utf8')));
		return parsed.success ? parsed.output : undefined;
	} catch {
		return undefined;
	}
}

/** Keys lie here: nobody else may look, and nobody else may have made it. */
async function requirePrivate(folder: string): Promise<void> {
	const { mode, uid } = await stat(folder);
	if ((mode & 0o077) !== 0 || (process.getuid !== undefined && uid !== process.getuid())) {
		throw new MeshError(
			'unauthorized',
			`${folder} is open to other users: remove it, or set XDG_RUNTIME_DIR to a private folder`,
		);
	}
}
