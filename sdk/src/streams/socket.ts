/**
 * Byte streams over unix sockets: the door between processes of one machine. The file system is the guard: the
 * socket is 0600 in a directory that only its owner can enter.
 */
import { chmod, mkdir, stat, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { MeshError } from '../errors.ts';
import type { ByteStream } from './transport.ts';

/** Linux and macOS keep socket paths in about a hundred bytes. */
const PATH_BYTES_MAX = process.platform === 'darwin' ? 103 : 107;

/** A connected socket, of any family, as a byte stream. */
export function socketStream(socket: Socket): ByteStream {
	let error: Error | undefined;
	socket.on('error', (cause) => {
		error = cause;
	});
	// A socket closes only after what it received was read, so an unread one is drained here to learn of the end.
	return {
		write: (chunk) => (socket.writable ? socket.write(chunk) : true),
		drained: () =>
			new Promise((resolve, reject) => {
				if (socket.closed || socket.destroyed) return reject(error ?? closed());
				if (!socket.writableNeedDrain) return resolve();
				const off = (): void => {
					socket.off('drain', onDrain);
					socket.off('close', onEnd);
				};
				const onDrain = (): void => {
					off();
					resolve();
				};
				const onEnd = (): void => {
					off();
					reject(error ?? closed());
				};
				socket.on('drain', onDrain);
				socket.on('close', onEnd);
			}),
		source: {
			async *[Symbol.asyncIterator]() {
				for await (const chunk of socket) yield chunk as Uint8Array;
			},
		},
		close: () =>
			new Promise((resolve) => {
				if (socket.destroyed || socket.writableFinished) return resolve();
				socket.once('close', resolve);
				socket.end(resolve);
			}),
		abort: (cause) => {
			error ??= cause;
			if (socket.destroyed) return;
			// A plain destroy would look like an orderly end to the other side, where a reset exists.
			socket.destroy();
		},
		onClose: (listener) => {
			if (socket.closed) queueMicrotask(() => listener(error));
			else socket.once('close', () => listener(error));
		},
	};
}

function closed(): MeshError {
	return new MeshError('unavailable', 'the socket is closed');
}

export interface UnixListener extends AsyncDisposable {
	readonly path: string;
	/** Stops listening, ends open connections, removes the socket. */
	close(): Promise<void>;
}

/**
 * Listens on a unix socket that only this user can open. Makes its directory (0700) if there is none. A socket that a
 * dead process left behind is replaced; one that answers is `conflict`.
 */
export async function listenUnix(path: string, onStream: (stream: ByteStream) => void): Promise<UnixListener> {
	checkPath(path);
	await prepareDirectory(dirname(path));
	await removeStale(path);
	const sockets = new Set<Socket>();
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
		onStream(socketStream(socket));
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', (cause: NodeJS.ErrnoException) => {
			const code = cause.code === 'EADDRINUSE' ? 'conflict' : 'unavailable';
			reject(new MeshError(code, `cannot listen on ${path}: ${cause.message}`, { cause }));
		});
		// The directory is closed to others before the socket exists, so there is no moment in which it is open.
		server.listen(path, resolve);
	});
	await chmod(path, 0o600);
	const close = async (): Promise<void> => {
		for (const socket of sockets) socket.destroy();
		// Closing a server on a path also unlinks it.
		await new Promise<void>((resolve) => server.close(() => resolve()));
	};
	return { path, close, [Symbol.asyncDispose]: close };
}

/** Connects to a unix socket. `unavailable`, naming the path, when nobody listens; `unauthorized` when it is not ours. */
export function dialUnix(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<ByteStream> {
	const { signal } = options;
	return new Promise((resolve, reject) => {
		if (signal?.aborted) {
			return reject(new MeshError('cancelled', `connecting to ${path} was cancelled`, { applied: 'no' }));
		}
		const socket = createConnection({ path, allowHalfOpen: true });
		const onAbort = (): void => {
			socket.destroy();
			reject(new MeshError('cancelled', `connecting to ${path} was cancelled`, { applied: 'no' }));
		};
		signal?.addEventListener('abort', onAbort, { once: true });
		const onError = (cause: NodeJS.ErrnoException): void => {
			signal?.removeEventListener('abort', onAbort);
			reject(dialError(path, cause));
		};
		socket.once('error', onError);
		socket.once('connect', () => {
			signal?.removeEventListener('abort', onAbort);
			socket.off('error', onError);
			resolve(socketStream(socket));
		});
	});
}

function dialError(path: string, cause: NodeJS.ErrnoException): MeshError {
	switch (cause.code) {
		case 'ENOENT':
			return new MeshError('unavailable', `there is no socket at ${path}: is the process that serves it running?`, {
				cause,
			});
		case 'ECONNREFUSED':
			return new MeshError('unavailable', `nobody listens on ${path}: its process is gone; start it again`, { cause });
		case 'EACCES':
		case 'EPERM':
			return new MeshError('unauthorized', `${path} belongs to another user: run as that user`, { cause });
		default:
			return new MeshError('unavailable', `cannot connect to ${path}: ${cause.message}`, { cause });
	}
}

function checkPath(path: string): void {
	const bytes = Buffer.byteLength(path);
	if (bytes > PATH_BYTES_MAX) {
		throw new MeshError(
			'invalid_input',
			`socket path ${path} has ${bytes} bytes, the system takes ${PATH_BYTES_MAX}: choose a shorter directory`,
		);
	}
}

async function prepareDirectory(directory: string): Promise<void> {
	try {
		await mkdir(directory, { recursive: true, mode: 0o700 });
		const { mode, uid } = await stat(directory);
		// Its owner could put a socket of their own in place of ours.
		if (uid !== process.getuid?.()) {
			throw new MeshError(
				'unauthorized',
				`${directory} belongs to user ${uid}: put the socket in a directory of its own, or run as that user`,
			);
		}
		// One we own is closed to others; one we share, such as /tmp, is refused rather than changed.
		if ((mode & 0o077) === 0) return;
		if ((mode & 0o1000) !== 0) {
			throw new MeshError(
				'unauthorized',
				`${directory} is open to other users: put the socket in a directory of its own`,
			);
		}
		await chmod(directory, 0o700);
	} catch (cause) {
		if (cause instanceof MeshError) throw cause;
		throw new MeshError('unavailable', `cannot use ${directory} for a socket: ${(cause as Error).message}`, { cause });
	}
}

async function removeStale(path: string): Promise<void> {
	let isSocket: boolean;
	try {
		isSocket = (await stat(path)).isSocket();
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
		throw new MeshError('unavailable', `cannot look at ${path}: ${(cause as Error).message}`, { cause });
	}
	if (!isSocket)
		throw new MeshError('conflict', `${path} exists and is not a socket: remove it or choose another path`);
	const isAlive = await new Promise<boolean>((resolve) => {
		const probe = createConnection({ path });
		probe.once('connect', () => {
			probe.destroy();
			resolve(true);
		});
		probe.once('error', () => resolve(false));
	});
	if (isAlive) throw new MeshError('conflict', `another process listens on ${path}: stop it or choose another path`);
	await unlink(path).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code !== 'ENOENT')
			throw new MeshError('unavailable', `cannot remove the stale ${path}: ${cause.message}`, { cause });
	});
}
