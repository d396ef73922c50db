/** The few calls to Podman's own API (libpod) for which the Docker-compatible one has no word: pods and volumes. */
import { request } from 'node:http';
import { MeshError } from '@beemesh/sdk/errors';

export interface LibpodResponse {
	readonly status: number;
	readonly body: string;
}

const API = '/v4.0.0/libpod';

export class Libpod {
	readonly #socketPath: string;

	constructor(socketPath: string) {
		this.#socketPath = socketPath;
	}

	/** Any answer, whatever its status. Rejects with the socket's error when there is none. */
	call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: string, contentType = 'application/json') {
		return new Promise<LibpodResponse>((resolve, reject) => {
			const headers =
				body === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
			const call = request({ socketPath: this.#socketPath, method, path: `${API}${path}`, headers, agent: false });
			call.once('error', reject);
			call.once('response', (response) => {
				const chunks: Buffer[] = [];
				response.on('data', (chunk: Buffer) => chunks.push(chunk));
				response.once('error', reject);
				response.once('end', () =>
					resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
				);
			});
			call.end(body);
		});
	}

	/** The JSON of a successful answer; undefined for 404. */
	async get<T>(path: string): Promise<T | undefined> {
		const response = await this.call('GET', path);
		if (response.status === 404) return undefined;
		if (response.status >= 300) throw failed(`GET ${path}`, response);
		return JSON.parse(response.body) as T;
	}

	/** True when it was done, false for 404 (there is no such thing) and 304 (it is so already). */
	async act(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<boolean> {
		const response = await this.call(method, path, body === undefined ? undefined : JSON.stringify(body));
		if (response.status === 404 || response.status === 304) return false;
		if (response.status >= 300) throw failed(`${method} ${path}`, response);
		return true;
	}
}

export function messageOf(response: LibpodResponse): string {
	try {
		const error = JSON.parse(response.body) as { message?: string; cause?: string };
		return error.message ?? error.cause ?? response.body;
	} catch {
		return response.body;
	}
}

function failed(what: string, response: LibpodResponse): MeshError {
	return new MeshError('internal', `Podman refused ${what} with ${response.status}: ${messageOf(response)}`);
}
