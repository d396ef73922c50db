/**
 * A host that is killed and back before anybody noticed: its neighbours must take the new process for a new one, at
 * once, though they still hold connections that look open to the old one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createNodeKeys } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { startHost, type TestHost, whenHosts } from './host.ts';

/** Half a second where nothing else runs. What it must not need is a time-out: those took a minute together. */
const PRESENT_MS = 10_000;

interface Child {
	readonly process: ChildProcess;
	/** What it has said or will say of this form. */
	line(form: RegExp): Promise<string>;
}

function startChild(...words: readonly string[]): Child {
	const file = fileURLToPath(new URL('./child.ts', import.meta.url));
	const child = spawn(process.execPath, ['--conditions=source', file, ...words], {
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	const lines: string[] = [];
	const output = createInterface(child.stdout);
	output.on('line', (line) => lines.push(line));
	const ended = once(output, 'close');
	const line = async (form: RegExp): Promise<string> => {
		for (let isOver = false; ; ) {
			const found = lines.findLast((one) => form.test(one));
			if (found !== undefined) return found;
			if (isOver) throw new Error(`the host ended before it said ${form}:\n${lines.join('\n')}`);
			isOver = await Promise.race([once(output, 'line').then(() => false), ended.then(() => true)]);
		}
	};
	return { process: child, line };
}

describe('a host that is killed and back at once', function () {
	// Four processes load one after the other, on a busy machine for twenty seconds each.
	this.timeout(120_000);
	const hosts: TestHost[] = [];
	const children: ChildProcess[] = [];

	afterEach(async () => {
		for (const child of children.splice(0)) child.kill('SIGKILL');
		await Promise.all(hosts.splice(0).map((host) => host[Symbol.asyncDispose]()));
	});

	async function start(...args: Parameters<typeof startHost>): Promise<TestHost> {
		const host = await startHost(...args);
		hosts.push(host);
		return host;
	}

	function child(...words: readonly string[]): Child {
		const one = startChild(...words);
		children.push(one.process);
		return one;
	}

	for (const where of ['on its port', 'on another port'] as const) {
		it(`is present at all its neighbours and hears tenders of each, ${where}`, async () => {
			const entry = await start({ name: 'entry' });
			const join = `--join=${entry.node.addresses()[0]}`;
			const far = await start({ name: 'far', join: entry.node.addresses() });
			const neighbours = [entry, far];
			const keys = createNodeKeys();
			const machineId = keys.peer.peerId as MachineId;
			const seed = `--seed=${Buffer.from(keys.seed).toString('hex')}`;
			// Below those that the system gives away: nobody else gets it in between.
			const port = where === 'on its port' ? [`--port=${20_000 + randomInt(12_000)}`] : [];
			const former = child('--name=former', join, seed, ...port);
			const next = child('--name=next', join, seed, ...port, '--wait');
			await Promise.all([next.line(/waiting/), former.line(/hosts 3/)]);
			await hear(former, 'before');

			const exited = once(former.process, 'exit');
			former.process.kill('SIGKILL');
			await exited;
			next.process.stdin?.write('\n');
			await next.line(/^\//);
			const startedMs = performance.now();
			const isBack = neighbours.map(({ node }) =>
				whenHosts(node, (present) => present.some((host) => host.machineId === machineId && host.name === 'next')),
			);
			await Promise.all([...isBack, next.line(/hosts 3/)]);
			const presentMs = performance.now() - startedMs;
			await hear(next, 'after');
			const heardMs = performance.now() - startedMs;
			expect({ presentMs, heardMs }).to.satisfy(() => Math.max(presentMs, heardMs) < PRESENT_MS);

			/** One tender of each neighbour: published until it is heard, for subscriptions travel too. */
			async function hear(listener: Child, when: string): Promise<void> {
				for (const [number, { node }] of neighbours.entries()) {
					const wanted = `tender ${when} ${number}`;
					const heard = listener.line(new RegExp(`^${wanted}$`)).then(() => true);
					do await node.publishTender('root', new TextEncoder().encode(`${when} ${number}`));
					while (!(await Promise.race([heard, delay(50, false)])));
				}
			}
		});
	}
});
