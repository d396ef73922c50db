/**
 * A client that uses a kv-store cluster without mercy and writes down what it saw: one call after the other, to any
 * replica, each with the instants between which it happened. The record is what the linearizability checker reads.
 */
import { Agent, request } from 'node:http';
import type { Call } from '@beemesh/sdk/testing';
import type { Random } from './random.ts';

/** A call as the checker reads it, and where it went: for people who read the history of a failed run. */
export interface RecordedCall extends Call {
	readonly url: string;
	readonly status: number | string;
}

export interface TortureClientOptions {
	readonly name: string;
	readonly urls: readonly string[];
	readonly random: Random;
	/** The keys to use now; new ones from time to time keep the check fast. */
	readonly keys: () => readonly string[];
	readonly record: (call: RecordedCall) => void;
	readonly timeoutMs: number;
	readonly signal: AbortSignal;
}

interface Answer {
	readonly status: number;
	readonly code: string | undefined;
	readonly body: string;
	readonly rev: number | undefined;
}

/** What became of a request: answered, surely not received, or nobody knows. */
type Fate = Answer | 'refused' | 'unknown';

/** Refusals that promise that nothing happened. */
const NOT_APPLIED = new Set(['no_quorum', 'unavailable', 'no_replicas', 'exhausted', 'draining', 'lost_lease']);

export async function runTortureClient(options: TortureClientOptions): Promise<void> {
	const { name, urls, random, keys, record, signal } = options;
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	/** The last revision this client saw of a key, and the value that goes with it: values are never used twice. */
	const known = new Map<string, { rev: number; value: string }>();
	for (let turn = 0; !signal.aborted; turn++) {
		const url = random.pick(urls);
		const key = random.pick(keys());
		const value = `${name}.${turn}`;
		const seen = known.get(key);
		const path = `/v1/kv/${encodeURIComponent(key)}`;
		const callNs = nowNs();
		const done = (fate: Fate, call: Pick<Call, 'op' | 'value' | 'expect'>, result?: Call['result']): void => {
			const outcome = outcomeOf(fate);
			if (typeof fate === 'object' && fate.status === 404 && typeof call.value === 'string') {
				throw new Error(`${url} answered 404 to a write of ${key}`);
			}
			// A read that failed saw nothing, so it says nothing.
			if (outcome !== 'ok' && call.op === 'get') return;
			record({
				client: name,
				key,
				...call,
				...(result === undefined ? {} : { result }),
				callNs,
				returnNs: nowNs(),
				outcome,
				url,
				status: typeof fate === 'string' ? fate : fate.status,
			});
		};
		const send = (method: string, headers: Record<string, string>, body?: string): Promise<Fate> =>
			exchange(agent, `${url}${path}`, { method, headers, body, timeoutMs: options.timeoutMs });

		const dice = random.below(100);
		if (dice < 45) {
			const fate = await send('GET', {});
			if (typeof fate === 'object' && fate.status === 200) {
				known.set(key, { rev: fate.rev ?? 0, value: fate.body });
				done(fate, { op: 'get' }, fate.body);
			} else done(fate, { op: 'get' }, null);
		} else if (dice < 70) {
			const fate = await send('PUT', {}, value);
			if (typeof fate === 'object' && fate.status === 200) known.set(key, { rev: revOf(fate), value });
			done(fate, { op: 'put', value });
		} else if (dice < 90) {
			const fate = await send(
				'PUT',
				seen === undefined ? { 'if-none-match': '*' } : { 'if-match': String(seen.rev) },
				value,
			);
			const swapped = typeof fate === 'object' && fate.status === 200;
			if (swapped) known.set(key, { rev: revOf(fate), value });
			else known.delete(key);
			done(fate, { op: 'cas', expect: seen?.value ?? null, value }, swapped);
		} else if (seen === undefined) {
			const fate = await send('DELETE', {});
			// "There was no such key" is a read.
			if (typeof fate === 'object' && fate.status === 404) done(fate, { op: 'get' }, null);
			else done(fate, { op: 'delete' });
		} else {
			const fate = await send('DELETE', { 'if-match': String(seen.rev) });
			known.delete(key);
			const swapped = typeof fate === 'object' && fate.status === 200;
			done(fate, { op: 'cas', expect: seen.value, value: null }, swapped);
		}
	}
	agent.destroy();
}

/** Reads one key until some replica answers: the last word on what was kept. */
export async function readFinally(
	urls: readonly string[],
	key: string,
	record: (call: RecordedCall) => void,
): Promise<void> {
	const agent = new Agent({ keepAlive: true });
	for (let turn = 0; turn < 100; turn++) {
		const url = urls[turn % urls.length] ?? '';
		const callNs = nowNs();
		const path = `${url}/v1/kv/${encodeURIComponent(key)}`;
		const fate = await exchange(agent, path, { method: 'GET', headers: {}, body: undefined, timeoutMs: 2000 });
		if (typeof fate !== 'object' || (fate.status !== 200 && fate.status !== 404)) continue;
		const result = fate.status === 200 ? fate.body : null;
		record({
			client: 'last reader',
			op: 'get',
			key,
			result,
			callNs,
			returnNs: nowNs(),
			outcome: 'ok',
			url,
			status: fate.status,
		});
		agent.destroy();
		return;
	}
	throw new Error(`no replica answers a read of ${key} after the faults ended`);
}

function outcomeOf(fate: Fate): Call['outcome'] {
	if (fate === 'refused') return 'fail';
	if (fate === 'unknown') return 'unknown';
	if (fate.status === 200 || fate.status === 404 || fate.status === 412) return 'ok';
	return fate.code !== undefined && NOT_APPLIED.has(fate.code) ? 'fail' : 'unknown';
}

function revOf(answer: Answer): number {
	return answer.rev ?? Number((JSON.parse(answer.body) as { rev: number }).rev);
}

function exchange(
	agent: Agent,
	url: string,
	options: { method: string; headers: Record<string, string>; body: string | undefined; timeoutMs: number },
): Promise<Fate> {
	const { method, headers, body, timeoutMs } = options;
	return new Promise((resolve) => {
		const req = request(url, { method, headers, agent, signal: AbortSignal.timeout(timeoutMs) }, (res) => {
			let text = '';
			res.setEncoding('utf8');
			res.on('data', (chunk: string) => {
				text += chunk;
			});
			res.on('error', () => resolve('unknown'));
			res.on('end', () => {
				const status = res.statusCode ?? 0;
				const rev = res.headers['x-rev'] === undefined ? undefined : Number(res.headers['x-rev']);
				resolve({ status, body: text, rev, code: status >= 400 ? codeOf(text) : undefined });
			});
		});
		req.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'unknown'));
		req.end(body);
	});
}

function codeOf(text: string): string | undefined {
	try {
		return (JSON.parse(text) as { code?: string }).code;
	} catch {
		return undefined;
	}
}

function nowNs(): number {
	return Number(process.hrtime.bigint());
}
