import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';

type Message = Readonly<Record<string, unknown>>;

/** One process of the app; its messages are kept, so that none is missed. */
class App {
	readonly child: ChildProcess;
	readonly exited: Promise<number | null>;
	readonly #messages: Message[] = [];
	readonly #wakes = new Set<() => void>();
	#calls = 0;
	#errors = '';

	constructor(args: readonly string[], runtimeDir: string) {
		this.child = spawn(process.execPath, ['--conditions=source', join(import.meta.dirname, 'dev-app.ts'), ...args], {
			stdio: ['pipe', 'pipe', 'pipe'],
			env: { ...process.env, XDG_RUNTIME_DIR: runtimeDir },
		});
		this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
		if (this.child.stdout === null) throw new Error('no stdout');
		createInterface({ input: this.child.stdout }).on('line', (line) => {
			this.#messages.push(JSON.parse(line) as Message);
			for (const wake of [...this.#wakes]) wake();
		});
		this.exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
		void this.exited.then(() => {
			for (const wake of [...this.#wakes]) wake();
		});
	}

	/** The first message that fits, already here or to come. Rejects when the process ends without it. */
	until(fits: (message: Message) => boolean): Promise<Message> {
		return new Promise((resolve, reject) => {
			const look = (): void => {
				const found = this.#messages.find(fits);
				if (found === undefined && this.child.exitCode === null && this.child.signalCode === null) return;
				this.#wakes.delete(look);
				if (found === undefined) reject(new Error(`the app ended: ${this.#errors}`));
				else resolve(found);
			};
			this.#wakes.add(look);
			look();
		});
	}

	call(text: string, to?: string): Promise<Message> {
		const call = `call-${this.#calls++}`;
		this.child.stdin?.write(`${JSON.stringify({ call, text, to })}\n`);
		return this.until(({ answer }) => answer === call);
	}

	joined(): Promise<Message> {
		return this.until(({ event }) => event === 'joined');
	}

	sees(event: string, peer: unknown): Promise<Message> {
		return this.until((message) => message['event'] === event && message['peer'] === peer);
	}
}

describe('dev mode: processes of one machine over QUIC', function () {
	this.timeout(60_000);
	let dir: string;
	const apps: App[] = [];

	function start(workload: string, data = '', runtimeDir = dir): App {
		const app = new App(['test', workload, data === '' ? '' : join(dir, data)], runtimeDir);
		apps.push(app);
		return app;
	}

	beforeEach(async () => {
		dir = await mkdtemp(join(tmpdir(), 'beemesh-dev-'));
	});
	afterEach(async () => {
		for (const { child } of apps) child.kill('SIGKILL');
		await Promise.all(apps.splice(0).map(({ exited }) => exited));
		await rm(dir, { recursive: true, force: true });
	});

	it('three find each other, each in a slot of its own; a killed one is noticed and comes back in its slot', async () => {
		const three = ['a', 'b', 'c'].map((data) => start('kv', data));
		const selves = await Promise.all(three.map((app) => app.joined()));
		expect(selves.map(({ slot }) => slot).sort()).to.deep.equal([0, 1, 2]);
		await Promise.all(
			three.flatMap((app) =>
				selves.filter((s) => s !== selves[three.indexOf(app)]).map(({ peer }) => app.sees('added', peer)),
			),
		);

		const [a, b, c] = three as [App, App, App];
		const [selfA] = selves as [Message];
		a.child.kill('SIGKILL');
		await Promise.all([b.sees('removed', selfA['peer']), c.sees('removed', selfA['peer'])]);

		const again = await start('kv', 'a').joined();
		expect(again).to.include({ slot: selfA['slot'], gen: 1 });
		expect(again['peer']).to.equal(selfA['peer']);
		await Promise.all([b.sees('added', again['peer']), c.sees('added', again['peer'])]);
	});

	it('typed calls reach another workload by name', async () => {
		const kv = start('kv', 'a');
		const web = start('web');
		const { slot } = await kv.joined();
		await web.joined();
		expect(await web.call('hi', 'kv')).to.include({ text: 'hi', slot, pid: kv.child.pid });
	});

	it('a data directory that lost its slot file comes back as a new generation', async () => {
		const first = start('kv', 'a');
		await first.joined();
		first.child.kill('SIGKILL');
		await first.exited;
		await rm(join(dir, 'a'), { recursive: true });
		expect(await start('kv', 'a').joined()).to.include({ slot: 0, gen: 2 });
	});

	it('refuses a data directory that is in use, and says by whom', async () => {
		const first = start('kv', 'a');
		await first.joined();
		const second = start('kv', 'a');
		const error = await second.joined().catch((e: Error) => e);
		expect((error as Error).message).to.contain(`process ${first.child.pid} uses the data directory`);
	});

	it('a killed claimer’s lock and half-written files stop nobody', async () => {
		const first = start('kv', 'a');
		await first.joined();
		first.child.kill('SIGKILL');
		await first.exited;
		const slots = join(dir, `beemesh-dev-${process.getuid?.()}`, 'test', 'slots', 'kv');
		await writeFile(join(slots, 'lock'), JSON.stringify({ pid: first.child.pid, start: '1' }));
		await writeFile(join(slots, '7.json'), '{"slot":7');
		expect(await start('kv', 'a').joined()).to.include({ slot: 0, gen: 1 });
	});

	it('replicas of another owner are refused: two meshes do not mix', async () => {
		const kv = start('kv', 'a');
		await kv.joined();
		const elsewhere = await mkdtemp(join(tmpdir(), 'beemesh-dev-'));
		try {
			const stranger = start('web', '', elsewhere);
			await stranger.joined();
			expect(await stranger.call('hi', 'kv')).to.include({ code: 'no_replicas' });
		} finally {
			await rm(elsewhere, { recursive: true, force: true });
		}
	});

	it('SIGTERM drains, says farewell, and ends the process', async () => {
		const [a, b] = [start('kv', 'a'), start('kv', 'b')];
		const [selfA] = await Promise.all([a.joined(), b.joined()]);
		await b.sees('added', selfA['peer']);
		a.child.kill('SIGTERM');
		await b.sees('removed', selfA['peer']);
		expect(await a.exited).to.equal(0);
	});
});
