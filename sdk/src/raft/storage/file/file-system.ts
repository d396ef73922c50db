/**
 * The few calls the file log makes, so that tests can make each of them fail. Errors carry Node's `code`
 * (`ENOSPC`, `EIO`). Everything runs on libuv's pool; the event loop never waits for a disk.
 */
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { lockDirectory } from './lock.ts';

export interface OpenFile {
	/** Returns how many bytes were written, which may be fewer than asked. */
	write(bytes: Uint8Array, position: number): Promise<number>;
	/** Fills `bytes`; returns how many, which may be fewer, and is 0 at the end. */
	read(bytes: Uint8Array, position: number): Promise<number>;
	size(): Promise<number>;
	/** `fdatasync`. */
	sync(): Promise<void>;
	close(): Promise<void>;
}

export interface FileSystem {
	/** With its parents, durably. */
	makeDirectory(path: string): Promise<void>;
	list(directory: string): Promise<string[]>;
	read(path: string): Promise<Uint8Array>;
	/** `create` fails when the file exists. */
	open(path: string, mode: 'create' | 'write' | 'read'): Promise<OpenFile>;
	rename(from: string, to: string): Promise<void>;
	remove(path: string): Promise<void>;
	/** Throws `conflict` while another holds it. Dropped when the process ends, however it ends. */
	lock(directory: string): Disposable;
	/** Makes creations, renames and removals in this directory durable. */
	syncDirectory(path: string): Promise<void>;
}

const FLAGS = { create: 'wx', write: 'r+', read: 'r' } as const;

export const nodeFileSystem: FileSystem = {
	makeDirectory: async (path) => {
		const first = await fsp.mkdir(path, { recursive: true, mode: 0o700 });
		if (first === undefined) return;
		const top = dirname(resolve(first));
		for (let made = resolve(path); made !== top; made = dirname(made)) await syncDirectory(dirname(made));
	},
	list: (directory) => fsp.readdir(directory),
	read: (path) => fsp.readFile(path),
	open: async (path, mode) => nodeFile(await openDescriptor(path, FLAGS[mode])),
	rename: (from, to) => fsp.rename(from, to),
	remove: (path) => fsp.unlink(path),
	lock: lockDirectory,
	syncDirectory,
};

async function syncDirectory(path: string): Promise<void> {
	const handle = await fsp.open(path, 'r');
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

function openDescriptor(path: string, flags: string): Promise<number> {
	return new Promise((done, reject) => {
		fs.open(path, flags, 0o600, (error, descriptor) => (error ? reject(error) : done(descriptor)));
	});
}

/** Callback functions on a plain descriptor: half the cost per call of a `FileHandle`. */
function nodeFile(descriptor: number): OpenFile {
	return {
		write: (bytes, position) =>
			new Promise((done, reject) => {
				fs.write(descriptor, bytes, 0, bytes.length, position, (error, written) =>
					error ? reject(error) : done(written),
				);
			}),
		read: (bytes, position) =>
			new Promise((done, reject) => {
				fs.read(descriptor, bytes, 0, bytes.length, position, (error, read) => (error ? reject(error) : done(read)));
			}),
		size: () =>
			new Promise((done, reject) => {
				fs.fstat(descriptor, (error, { size }) => (error ? reject(error) : done(size)));
			}),
		sync: () =>
			new Promise((done, reject) => {
				fs.fdatasync(descriptor, (error) => (error ? reject(error) : done()));
			}),
		close: () =>
			new Promise((done, reject) => {
				fs.close(descriptor, (error) => (error ? reject(error) : done()));
			}),
	};
}
