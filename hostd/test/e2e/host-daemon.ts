/** The real `hostd` of one test host: the built program, in the host's network, on the host's Podman. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NetworkHost, TestNetwork } from './netns.ts';

const MAIN = join(import.meta.dirname, '../../dist/bundle/main.mjs');
const START_MS = 20_000;

export interface HostDaemon {
	readonly host: NetworkHost;
	/** Its local API, for beectl. */
	readonly socket: string;
	/** Multiaddr that others join by. */
	readonly address: string;
	readonly process: ChildProcess;
	log(): string;
	/** SIGTERM: drains its pods; resolves with the exit code. */
	stop(): Promise<number | null>;
}

export async function startDaemon(
	network: TestNetwork,
	host: NetworkHost,
	join_: readonly string[],
): Promise<HostDaemon> {
	if (!existsSync(MAIN)) throw new Error('hostd/dist/bundle is missing: run `npm run build` first');
	const folder = join(host.folder, 'hostd');
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const [socket, config, logFile] = [join(folder, 'run/hostd.sock'), join(folder, 'hostd.json'), join(folder, 'log')];
	writeFileSync(
		config,
		JSON.stringify({
			name: host.name,
			mesh: network.id,
			stateDir: join(folder, 'state'),
			socket,
			bind: host.address,
			port: 7000,
			join: join_,
			runtime: 'podman',
			podmanSocket: host.podman.socket,
			logFormat: 'json',
		}),
	);
	const output = openSync(logFile, 'a', 0o600);
	const offset = existsSync(logFile) ? readFileSync(logFile, 'utf8').length : 0;
	const log = (): string => readFileSync(logFile, 'utf8').slice(offset);
	const child = network.spawn(host, [process.execPath, MAIN, '--config', config], {
		stdio: ['ignore', output, output],
	});
	closeSync(output);
	for (const deadlineMs = Date.now() + START_MS; ; await delay(20)) {
		const address = /"message":"host ready".*?"addresses":\["([^"]+)"/.exec(log())?.[1];
		if (address !== undefined) {
			const stop = async (): Promise<number | null> => {
				if (child.exitCode === null && child.signalCode === null) {
					const exited = once(child, 'exit');
					child.kill('SIGTERM');
					await exited;
				}
				return child.exitCode;
			};
			return { host, socket, address, process: child, log, stop };
		}
		if (child.exitCode !== null) throw new Error(`hostd of ${host.name} ended with ${child.exitCode}:\n${log()}`);
		if (Date.now() > deadlineMs) throw new Error(`hostd of ${host.name} is not ready after ${START_MS} ms:\n${log()}`);
	}
}
