/** What `quickstart -- --check` proves: acknowledged writes survive the death of the Raft leader's host. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Beectl, Pod } from './beectl.ts';
import type { Host } from './hosts.ts';
import { signal } from './processes.ts';

export interface CheckResult {
	/** Leader's host killed → next acknowledged write. */
	readonly failoverMs: number;
	/** Leader's host killed → every replica runs again, elsewhere, ready. */
	readonly healMs: number;
	readonly lostWrites: number;
}

const WRITES = 50;
const FAILOVER_LIMIT_MS = 30_000;
const HEAL_LIMIT_MS = 60_000;

export async function check(options: {
	readonly hosts: readonly Host[];
	readonly beectl: Beectl;
	readonly useHost: (host: Host) => void;
	readonly step: (text: string) => void;
	readonly say: (text: string) => void;
}): Promise<CheckResult> {
	const { hosts, beectl, step, say } = options;
	const before = await beectl.pods();
	const leader = before.find((pod) => pod.workload === 'kv-store' && pod.role === 'leader');
	if (leader === undefined) throw new Error('no pod of kv-store says that it leads');
	const victim = hosts.find((host) => host.name === leader.machineName);
	if (victim === undefined) throw new Error(`the leader runs on ${leader.machineName}, which is none of our hosts`);
	const survivor = hosts.find((host) => host !== victim);
	const page = pagesOf(before).find((pod) => pod.machineName !== victim.name);
	if (survivor === undefined || page === undefined) throw new Error('no web-frontend runs beside the leader’s host');
	let base = page.url;

	step(`Writing ${WRITES} keys through http://${base}`);
	const acknowledged = new Map<string, string>();
	for (let i = 0; i < WRITES; i++) {
		const value = `value ${i} of ${Date.now()}`;
		await put(base, `check/${i}`, value);
		acknowledged.set(`check/${i}`, value);
	}
	for (const [key, value] of acknowledged)
		if ((await get(base, key)) !== value) throw new Error(`${key} reads back wrong`);

	step(`Killing ${victim.name}, which runs the leader ${leader.name}: kill -9 of hostd and of all its pods`);
	options.useHost(survivor);
	const killedAtMs = performance.now();
	signal(victim.pid, 'SIGKILL');
	for (const pod of before.filter(({ machineName }) => machineName === victim.name)) {
		// A container is a process group (process runtime) or a process that ends its namespace with it (Podman).
		for (const pid of pod.pids) for (const target of [-pid, pid]) signal(target, 'SIGKILL');
	}

	const writes = keepWriting(base, killedAtMs, acknowledged);
	const failoverMs = await writes;
	say(`  a write was acknowledged again after ${failoverMs} ms`);

	const after = await healed(beectl, before, victim, killedAtMs);
	const healMs = Math.round(performance.now() - killedAtMs);
	await beectl.show('get', 'pods', '-o', 'wide');
	say(`  all replicas run again after ${healMs} ms`);

	step('Reading every acknowledged write again');
	base = pagesOf(after)[0]?.url ?? base;
	let lostWrites = 0;
	for (const [key, value] of acknowledged) if ((await get(base, key)) !== value) lostWrites++;
	if (lostWrites > 0) throw new Error(`${lostWrites} acknowledged writes are lost`);
	say(`  ${acknowledged.size} of ${acknowledged.size} are there`);
	return { failoverMs, healMs, lostWrites };
}

async function keepWriting(base: string, sinceMs: number, acknowledged: Map<string, string>): Promise<number> {
	for (let i = 0; ; i++) {
		const key = `check/after-${i}`;
		const value = `after ${i}`;
		try {
			await put(base, key, value, 1_000);
			acknowledged.set(key, value);
			return Math.round(performance.now() - sinceMs);
		} catch (error) {
			if (performance.now() - sinceMs > FAILOVER_LIMIT_MS) {
				throw new Error(`no write was acknowledged in ${FAILOVER_LIMIT_MS / 1000} s: ${(error as Error).message}`);
			}
			await delay(20);
		}
	}
}

async function healed(beectl: Beectl, before: readonly Pod[], victim: Host, sinceMs: number): Promise<readonly Pod[]> {
	for (;;) {
		const now = (await beectl.pods()).filter((pod) => pod.machineName !== victim.name);
		const whole = ['kv-store', 'web-frontend'].every((workload) => {
			const wanted = before.filter((pod) => pod.workload === workload).length;
			const running = now.filter((pod) => pod.workload === workload && pod.ready && pod.role !== 'learner');
			return running.length === wanted;
		});
		if (whole) return now;
		if (performance.now() - sinceMs > HEAL_LIMIT_MS) {
			const list = now.map(({ name, machineName, ready, role }) => `${name} on ${machineName} ready=${ready} ${role}`);
			throw new Error(`the replicas are not back after ${HEAL_LIMIT_MS / 1000} s:\n  ${list.join('\n  ')}`);
		}
		await delay(100);
	}
}

function pagesOf(pods: readonly Pod[]): { readonly machineName: string; readonly url: string }[] {
	return pods
		.filter((pod) => pod.workload === 'web-frontend' && pod.ready)
		.flatMap(({ machineName, endpoints }) =>
			endpoints.slice(0, 1).map(({ address }) => ({ machineName, url: address })),
		);
}

async function put(base: string, key: string, value: string, timeoutMs = 10_000): Promise<void> {
	const url = `http://${base}/api/kv/${encodeURIComponent(key)}`;
	const response = await fetch(url, { method: 'PUT', body: value, signal: AbortSignal.timeout(timeoutMs) });
	if (!response.ok) throw new Error(`PUT ${url}: ${response.status} ${await response.text()}`);
	await response.arrayBuffer();
}

async function get(base: string, key: string): Promise<string | undefined> {
	const url = `http://${base}/api/kv/${encodeURIComponent(key)}`;
	const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
	if (response.status === 404) return undefined;
	if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${await response.text()}`);
	return response.text();
}
