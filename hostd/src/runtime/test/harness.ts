/** What a runtime brings to the contract suite, and pods for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Container, Pod, PodSpec } from '@beemesh/sdk/wire';
import { overlay, type RefusedPod } from '../../policy/test/refused-pods.ts';
import type { LogLine, PodStart, PublishedPort, Runtime, RuntimeEvent } from '../runtime.ts';

export interface RuntimeHarness {
	/** A runtime over the same state each time: the second one is a hostd that was started again. */
	open(): Promise<Runtime>;
	/** The image that runs the probe. */
	readonly image: string;
	/** Command line of a probe verb (see `probe.sh`); undefined where the image's own entrypoint is the probe. */
	probe(verb: string, ...args: string[]): Pick<Container, 'command' | 'args'>;
	/** A TCP server on the container's port that greets with `hello`, where the runtime has a real network. */
	serve?(port: number): Pick<Container, 'image' | 'command' | 'args'>;
	/** A runtime that cannot work on this host; its `check()` must say what to do. */
	unusable?(): Runtime;
	close(): Promise<void>;
}

export class PodMaker {
	readonly folder = mkdtempSync(join(tmpdir(), 'beemesh-contract-'));
	#next = 1;

	/** A pod of one container that runs a probe verb. */
	make(
		harness: RuntimeHarness,
		verb: readonly [string, ...string[]],
		change: {
			readonly container?: Partial<Container>;
			readonly spec?: Partial<PodSpec>;
			readonly start?: Partial<PodStart>;
		} = {},
	): PodStart {
		const podId = change.start?.podId ?? `probe-${this.#next++}-g0`;
		const container: Container = {
			name: 'main',
			image: harness.image,
			...harness.probe(...verb),
			...change.container,
		};
		return {
			podId,
			pod: {
				apiVersion: 'v1',
				kind: 'Pod',
				metadata: { name: podId, namespace: 'default' },
				spec: { containers: [container], restartPolicy: 'Never', ...change.spec },
			},
			env: { BEEMESH_POD: podId, BEEMESH_SOCKET: '/run/beemesh/pod.sock' },
			socketDir: this.folder,
			ports: [],
			volumeNames: {},
			labels: { 'beemesh.io/pod': podId },
			...change.start,
		};
	}

	remove(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** The pod with what a row of the policy's table asks for laid over it: data that no type has checked. */
export function asking(pod: Pod, row: Pick<RefusedPod, 'metadata' | 'spec' | 'container'>): Pod {
	const containers = pod.spec.containers.map((container) => overlay(container, row.container));
	const spec = overlay({ ...pod.spec, containers }, row.spec);
	return { ...pod, metadata: overlay(pod.metadata, row.metadata), spec } as unknown as Pod;
}

/** Resolves with the first matching event; rejects after a deadline that only a broken runtime reaches. */
export function nextEvent(
	runtime: Runtime,
	matches: (event: RuntimeEvent) => boolean,
	deadlineMs = 15_000,
): Promise<RuntimeEvent> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => {
			subscription[Symbol.dispose]();
			reject(new Error(`no such event within ${deadlineMs} ms`));
		}, deadlineMs);
		const subscription = runtime.events((event) => {
			if (!matches(event)) return;
			clearTimeout(timer);
			subscription[Symbol.dispose]();
			resolve(event);
		});
	});
}

/** Starts a pod whose container ends by itself, and waits for that. */
export async function runToExit(runtime: Runtime, spec: PodStart): Promise<RuntimeEvent> {
	const exited = nextEvent(runtime, (event) => event.podId === spec.podId && event.type === 'exited');
	exited.catch(() => undefined);
	await runtime.start(spec);
	return exited;
}

export async function collect(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
	const all: LogLine[] = [];
	for await (const line of lines) all.push(line);
	return all;
}

/** Follows a log until a line appears. */
export async function waitForLine(runtime: Runtime, podId: string, text: string, deadlineMs = 15_000): Promise<void> {
	const signal = AbortSignal.timeout(deadlineMs);
	for await (const { line } of runtime.logs(podId, { follow: true, signal })) if (line === text) return;
	throw new Error(`pod ${podId}: no line '${text}' before the log ended (or within ${deadlineMs} ms)`);
}

export async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	if (address === null || typeof address === 'string') throw new Error('no port');
	return address.port;
}

export function published(host: number, container = host, protocol: 'tcp' | 'udp' = 'tcp'): PublishedPort {
	return { name: 'probe', protocol, hostIp: '127.0.0.1', host, container };
}
