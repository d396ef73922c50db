/** Starts the hosts of a quickstart: real `hostd` processes on loopback, each with its own key, port and folder. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EnrolledMesh } from './mesh.ts';
import { RUN_DIR, start } from './processes.ts';

export interface Host {
	readonly name: string;
	readonly pid: number;
	readonly socket: string;
	readonly log: string;
	readonly address: string;
	readonly startedInMs: number;
}

export interface HostSettings {
	readonly node: string;
	readonly main: string;
	readonly runtime: 'process' | 'podman';
	readonly images: Readonly<Record<string, { readonly command: readonly string[] }>>;
	readonly podmanSocket: string | undefined;
	/** IP address that hosts listen on and tell to others. */
	readonly bind: string;
	readonly mesh: EnrolledMesh;
}

const START_TIMEOUT_MS = 20_000;

export async function startHost(name: string, join_: readonly string[], settings: HostSettings): Promise<Host> {
	const dir = join(RUN_DIR, name);
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	const stateDir = join(dir, 'state');
	const config = join(dir, 'hostd.json');
	const socket = join(dir, 'run/hostd.sock');
	const log = join(dir, 'hostd.log');
	writeFileSync(
		config,
		JSON.stringify({
			name,
			bundle: await settings.mesh.enrol(name, stateDir),
			stateDir,
			socket,
			bind: settings.bind,
			port: 0,
			join: join_,
			runtime: settings.runtime,
			images: settings.images,
			logFormat: 'json',
			...(settings.podmanSocket === undefined ? {} : { podmanSocket: settings.podmanSocket }),
		}),
	);
	const beganMs = performance.now();
	const output = openSync(log, 'a', 0o600);
	const child = start(name, settings.node, [settings.main, '--config', config], output);
	closeSync(output);
	const until = Date.now() + START_TIMEOUT_MS;
	for (;;) {
		const ready = readLog(log).find((line) => line.message === 'host ready');
		if (ready !== undefined && child.pid !== undefined) {
			const address = ready.addresses?.[0] ?? '';
			return { name, pid: child.pid, socket, log, address, startedInMs: performance.now() - beganMs };
		}
		if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${readFileSync(log, 'utf8')}`);
		if (Date.now() > until)
			throw new Error(`${name} was not ready in ${START_TIMEOUT_MS / 1000} s:\n${readFileSync(log, 'utf8')}`);
		await delay(20);
	}
}

function readLog(log: string): { message?: string; addresses?: string[] }[] {
	return readFileSync(log, 'utf8')
		.split('\n')
		.flatMap((line) => {
			try {
				return [JSON.parse(line) as { message?: string; addresses?: string[] }];
			} catch {
				return [];
			}
		});
}
