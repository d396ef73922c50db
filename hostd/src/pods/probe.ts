/** Performs one probe: does the container answer as its manifest says? */
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Runtime } from '../runtime/index.ts';
import type { ProbeAction } from './pod-plan.ts';

export interface ProbeTarget {
	readonly runtime: Runtime;
	readonly podId: string;
	readonly container: string;
	/** The pod's own address, where it has one. */
	readonly address: string | undefined;
}

/** False for every kind of failure; a probe that cannot be made has failed. */
export async function performProbe(action: ProbeAction, target: ProbeTarget, timeoutMs: number): Promise<boolean> {
	const signal = AbortSignal.timeout(timeoutMs);
	try {
		switch (action.type) {
			case 'http':
				return await httpGet(action.host ?? target.address ?? '127.0.0.1', action.port, action.path, signal);
			case 'tcp':
				return await tcpConnect(action.host ?? target.address ?? '127.0.0.1', action.port, signal);
			case 'exec': {
				const { podId, container } = target;
				return (await target.runtime.exec(podId, action.command, { container, signal })).exitCode === 0;
			}
		}
	} catch {
		return false;
	}
}

/** Any status from 200 to 399 is a success, as in Kubernetes; redirects are not followed. */
function httpGet(host: string, port: number, path: string, signal: AbortSignal): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const call = request({ host, port, path, signal, agent: false, headers: { 'user-agent': 'beemesh-probe' } });
		call.once('response', (response) => {
			const status = response.statusCode ?? 0;
			response.destroy();
			resolve(status >= 200 && status < 400);
		});
		call.once('error', reject);
		call.end();
	});
}

function tcpConnect(host: string, port: number, signal: AbortSignal): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const socket = connect({ host, port, signal });
		socket.once('connect', () => {
			socket.destroy();
			resolve(true);
		});
		socket.once('error', reject);
	});
}
