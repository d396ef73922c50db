/** Reaches Podman's API: an existing socket, or a `podman system service` of hostd's own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';

export interface PodmanService {
	readonly socketPath: string;
	/** Makes sure that something listens; rejects with `unavailable`. */
	ensure(): Promise<void>;
	close(): Promise<void>;
}

export interface PodmanServiceOptions {
	/**
	 * Path of the API socket. Without it and without `spawn`: `$XDG_RUNTIME_DIR/podman/podman.sock` or
	 * `/run/podman/podman.sock`, whichever exists.
	 */
	readonly socket?: string;
	/** Runs a service of our own on `socket`, with these global options (`--root`, `--runroot`, …). */
	readonly spawn?: { readonly args: readonly string[]; readonly command?: readonly string[] };
}

const START_TIMEOUT_MS = 20_000;
const CONNECT_RETRY_MS = 25;

export const HOW_TO_INSTALL =
	'install Podman 4.3 or newer (Debian, Ubuntu: apt-get install podman), start its API ' +
	'(systemctl enable --now podman.socket), or let hostd use the embedded runtime: --runtime process';

export function podmanService(options: PodmanServiceOptions): PodmanService {
	const socketPath = options.socket ?? defaultSocket();
	return options.spawn ? new OwnService(socketPath, options.spawn) : new ForeignService(socketPath);
}

function defaultSocket(): string {
	const user = process.env['XDG_RUNTIME_DIR'];
	const candidates = [...(user ? [join(user, 'podman/podman.sock')] : []), '/run/podman/podman.sock'];
	return candidates.find((path) => existsSync(path)) ?? candidates.at(-1) ?? '';
}

class ForeignService implements PodmanService {
	readonly socketPath: string;

	constructor(socketPath: string) {
		this.socketPath = socketPath;
	}

	async ensure(): Promise<void> {
		try {
			await dial(this.socketPath);
		} catch (cause) {
			throw unreachable(this.socketPath, cause);
		}
	}

	async close(): Promise<void> {}
}

class OwnService implements PodmanService {
	readonly socketPath: string;
	readonly #spawn: NonNullable<PodmanServiceOptions['spawn']>;
	#child: ChildProcess | undefined;
	#starting: Promise<void> | undefined;
	#isClosed = false;

	constructor(socketPath: string, spawnOptions: NonNullable<PodmanServiceOptions['spawn']>) {
		this.socketPath = socketPath;
		this.#spawn = spawnOptions;
	}

	ensure(): Promise<void> {
		const isUp = this.#child && this.#child.exitCode === null && this.#child.signalCode === null;
		if (isUp && !this.#starting) return Promise.resolve();
		this.#starting ??= this.#start().finally(() => {
			this.#starting = undefined;
		});
		return this.#starting;
	}

	async close(): Promise<void> {
		this.#isClosed = true;
		await this.#starting?.catch(() => undefined);
		const child = this.#child;
		this.#child = undefined;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, 'exit');
		child.kill('SIGTERM');
		await exited;
		rmSync(this.socketPath, { force: true });
	}

	async #start(): Promise<void> {
		if (this.#isClosed) throw new MeshError('unavailable', 'the Podman runtime is closed', { retryable: false });
		mkdirSync(dirname(this.socketPath), { recursive: true, mode: 0o700 });
		rmSync(this.socketPath, { force: true });
		const [program = 'podman', ...before] = this.#spawn.command ?? ['podman'];
		const service = [...this.#spawn.args, 'system', 'service', '--time=0', `unix://${this.socketPath}`];
		// Its monitors leave a file named `oom` where they are started.
		const child = spawn(program, [...before, ...service], { stdio: 'ignore', cwd: dirname(this.socketPath) });
		this.#child = child;
		const failed = new Promise<never>((_, reject) => {
			child.once('error', reject);
			child.once('exit', (code) => reject(new Error(`podman system service ended with ${code}`)));
		});
		failed.catch(() => undefined);
		const deadlineMs = Date.now() + START_TIMEOUT_MS;
		try {
			for (;;) {
				const isUp = await Promise.race([
					dial(this.socketPath).then(
						() => true,
						() => false,
					),
					failed,
				]);
				if (isUp) return;
				if (Date.now() > deadlineMs) throw new Error(`it did not listen within ${START_TIMEOUT_MS} ms`);
				await Promise.race([new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS)), failed]);
			}
		} catch (cause) {
			child.kill('SIGKILL');
			throw unreachable(this.socketPath, cause);
		}
	}
}

export function unreachable(socketPath: string, cause: unknown): MeshError {
	const reason = cause instanceof Error ? cause.message : String(cause);
	return new MeshError('unavailable', `Podman's API does not answer at ${socketPath} (${reason}): ${HOW_TO_INSTALL}`, {
		cause,
	});
}

function dial(socketPath: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = connect(socketPath);
		socket.once('connect', () => {
			socket.destroy();
			resolve();
		});
		socket.once('error', reject);
	});
}
