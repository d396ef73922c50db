/** Where host paths lead, on real folders: nothing but what the operator allowed ever comes out. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import type { Pod, Volume } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { HostPolicy } from '../index.ts';

type HostPath = NonNullable<Volume['hostPath']>;
type Entry = { readonly path: string; readonly readOnly?: boolean };

describe('host paths', () => {
	let dir: string;
	let server: Server;
	const at = (...parts: string[]) => join(dir, ...parts);

	before(async () => {
		dir = realpathSync(mkdtempSync(join(tmpdir(), 'beemesh-paths-')));
		for (const folder of ['media/films', 'media-private', 'data/below', 'state', 'run', 'engine']) {
			mkdirSync(at(folder), { recursive: true });
		}
		writeFileSync(at('media/list.txt'), 'x');
		symlinkSync(at('media-private'), at('media/out'));
		symlinkSync('films', at('media/in'));
		symlinkSync('/', at('media/root'));
		symlinkSync(at('media'), at('link-to-media'));
		symlinkSync('/dev/null', at('media/null'));
		symlinkSync(at('data/below'), at('media/written'));
		symlinkSync(at('engine/engine.sock'), at('media/engine'));
		server = createServer();
		await new Promise<void>((resolve) => server.listen(at('engine/engine.sock'), resolve));
	});
	after(async () => {
		await new Promise((resolve) => server.close(resolve));
		rmSync(dir, { recursive: true });
	});

	const admit = async (hostPath: HostPath, hostPaths: readonly Entry[], devices: readonly string[] = []) => {
		const policy = new HostPolicy({
			content: { default: { hostPaths: [...hostPaths], devices: [...devices] } },
			protectedPaths: [at('state'), at('run'), at('engine/engine.sock')],
		});
		const pod: Pod = {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: { name: 'a', namespace: 'b' },
			spec: { containers: [{ name: 'main', image: 'x' }], volumes: [{ name: 'v', hostPath }] },
		};
		return (await policy.admit(pod, {})).spec.volumes?.[0]?.hostPath?.path;
	};
	const refusal = async (promise: Promise<unknown>): Promise<string> => {
		const error: unknown = await promise.then(
			(path) => new Error(`admitted ${String(path)}`),
			(cause: unknown) => cause,
		);
		if (!isMeshError(error, 'invalid_input')) throw error;
		return error.message;
	};
	const readable = (path: string): Entry => ({ path: at(path), readOnly: true });
	const writable = (path: string): Entry => ({ path: at(path) });

	for (const [what, asked, entries, real] of [
		['a folder that is allowed', 'data', ['data'], 'data'],
		['a folder below a readable one', 'media/films', ['ro media'], 'media/films'],
		['a file below a readable folder', 'media/list.txt', ['ro media'], 'media/list.txt'],
		['a link that stays inside, as where it leads', 'media/in', ['ro media'], 'media/films'],
		['a link that the operator allowed, as where it leads', 'link-to-media', ['link-to-media'], 'media'],
		['what is below such a link', 'link-to-media/films', ['ro link-to-media'], 'media/films'],
	] as const) {
		it(`gives ${what}`, async () => {
			const given = entries.map((entry) => (entry.startsWith('ro ') ? readable(entry.slice(3)) : writable(entry)));
			expect(await admit({ path: at(asked) }, given)).to.equal(at(real));
		});
	}

	for (const [what, asked, entries, reason] of [
		['a link out of an allowed folder', 'media/out', ['ro media'], /leads to .*media-private, outside/],
		['a link to the root', 'media/root', ['ro media'], /gives access to /],
		['a path through a link', 'media/root/etc', ['ro media'], /leads to \/etc, outside/],
		['a link to a device', 'media/null', ['ro media'], /is a CharDevice/],
		['what is not there', 'media/gone', ['ro media'], /there is no /],
		['a link into a folder that pods may write', 'media/written', ['ro media', 'data'], /which pods may write/],
		['the state folder', 'state', ['state'], /gives access to .*state, which no pod may have/],
		["the daemon's socket folder, allowed or not", 'run', ['ro run'], /gives access to .*run,/],
		['a folder that holds these', '.', ['ro .'], /gives access to /],
		["the engine's socket", 'engine/engine.sock', ['engine/engine.sock'], /which no pod may have/],
		["a link to the engine's socket", 'media/engine', ['ro media'], /which no pod may have/],
		["the folder of the engine's socket", 'engine', ['ro engine'], /which no pod may have/],
	] as const) {
		it(`refuses ${what}`, async () => {
			const given = entries.map((entry) => (entry.startsWith('ro ') ? readable(entry.slice(3)) : writable(entry)));
			const message = await refusal(admit({ path: at(asked) }, given));
			expect(message).to.match(/^spec\.volumes\[0\]\.hostPath\.(path|type): refused by this host's policy/);
			expect(message).to.match(reason);
		});
	}

	for (const path of ['/', '/proc', '/proc/1/root', '/sys/fs/cgroup', '/dev', '/run', '/var/lib', '/run/podman']) {
		it(`refuses ${path}, even when it is allowed`, async () => {
			expect(await refusal(admit({ path }, [{ path }]))).to.match(/which no pod may have|there is no|leads to/);
			expect(await refusal(admit({ path }, [{ path: '/', readOnly: true }]))).to.match(
				/which no pod may have|there is no|leads to/,
			);
		});
	}

	it('takes no letter of an allowed path for a pattern, nor another that looks like it', async () => {
		for (const name of ['v1.2', 'v1x2', 'v1\u20242', 'v1.2.old']) mkdirSync(at(name), { recursive: true });
		expect(await admit({ path: at('v1.2') }, [readable('v1.2')])).to.equal(at('v1.2'));
		for (const name of ['v1x2', 'v1\u20242', 'v1.2.old'])
			expect(await refusal(admit({ path: at(name) }, [readable('v1.2')])), name).to.match(
				/refused by this host's policy/,
			);
	});

	it('gives a device to who calls it one', async () => {
		expect(await admit({ path: '/dev/null', type: 'CharDevice' }, [], ['/dev/null'])).to.equal('/dev/null');
		const wrong = await refusal(admit({ path: '/dev/null', type: 'BlockDevice' }, [], ['/dev/null']));
		expect(wrong).to.match(/hostPath\.type: .* is a CharDevice/);
	});

	it('takes a type at its word', async () => {
		const message = await refusal(admit({ path: at('media'), type: 'File' }, [readable('media')]));
		expect(message).to.match(/hostPath\.type: .* is a Directory/);
	});
});
