/** Runs one command in a container, over the Docker-compatible exec. */
import { PassThrough } from 'node:stream';
import { MeshError } from '@beemesh/sdk/errors';
import type Docker from 'dockerode';
import type { ExecResult } from '../runtime.ts';

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const END_POLL_MS = 20;

export async function podmanExec(
	docker: Docker,
	containerId: string,
	command: readonly string[],
	signal: AbortSignal | undefined,
): Promise<ExecResult> {
	if (signal?.aborted) throw cancelled(command);
	const container = docker.getContainer(containerId);
	const exec = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true });
	const stream = await exec.start({ hijack: true, stdin: false });
	const stdout = new Collector();
	const stderr = new Collector();
	docker.modem.demuxStream(stream, stdout.stream, stderr.stream);
	const onAbort = () => stream.destroy(cancelled(command));
	signal?.addEventListener('abort', onAbort, { once: true });
	try {
		await new Promise<void>((resolve, reject) => {
			stream.once('end', resolve);
			stream.once('close', resolve);
			stream.once('error', reject);
			for (const { stream: output } of [stdout, stderr]) output.once('error', (error) => stream.destroy(error));
		});
		if (signal?.aborted) throw cancelled(command);
		let state = await exec.inspect();
		while (state.Running) {
			if (signal?.aborted) throw cancelled(command);
			await new Promise((resolve) => setTimeout(resolve, END_POLL_MS));
			state = await exec.inspect();
		}
		return { exitCode: state.ExitCode ?? 255, stdout: stdout.bytes(), stderr: stderr.bytes() };
	} catch (error) {
		await kill(exec);
		throw error;
	} finally {
		signal?.removeEventListener('abort', onAbort);
	}
}

/** Podman has no call to end an exec: what was given up is killed by its process id, where this host shows it. */
async function kill(exec: Docker.Exec): Promise<void> {
	try {
		const { Running, Pid } = await exec.inspect();
		if (Running && Pid > 0) process.kill(Pid, 'SIGKILL');
	} catch {
		// Ended already, or not ours to signal: it ends with the container.
	}
}

class Collector {
	readonly stream = new PassThrough();
	readonly #chunks: Buffer[] = [];
	#size = 0;

	constructor() {
		this.stream.on('data', (chunk: Buffer) => {
			this.#size += chunk.length;
			if (this.#size <= OUTPUT_BYTES_MAX) this.#chunks.push(chunk);
			else this.stream.destroy(new MeshError('exhausted', `exec: more than ${OUTPUT_BYTES_MAX} bytes of output`));
		});
	}

	bytes(): Uint8Array {
		return Buffer.concat(this.#chunks);
	}
}

function cancelled(command: readonly string[]): MeshError {
	return new MeshError('cancelled', `exec ${command[0]} was cancelled`);
}
