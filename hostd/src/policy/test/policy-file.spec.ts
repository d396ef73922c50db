/** The operator's file: whose it must be, and what hostd says of one that is wrong. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import type { Pod } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { loadHostPolicy } from '../index.ts';

const OWNER = 'bafyreiabcdefghijklmnopqrstuvwxyz234567';

describe('policy file', () => {
	let dir: string;
	let next = 0;
	before(() => {
		dir = mkdtempSync(join(tmpdir(), 'beemesh-policy-'));
	});
	after(() => rmSync(dir, { recursive: true }));

	const fileOf = (content: unknown, mode = 0o600): string => {
		const path = join(dir, `policy-${next++}.json`);
		writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
		chmodSync(path, mode);
		return path;
	};
	const load = (policy?: string) =>
		loadHostPolicy({ policy, stateDir: join(dir, 'state'), socket: join(dir, 'run/s') });
	const refusal = async (path: string): Promise<string> => {
		const error: unknown = await load(path).then(
			() => new Error('it was read'),
			(cause: unknown) => cause,
		);
		if (!isMeshError(error, 'invalid_input')) throw error;
		expect(error.message).to.include(path);
		return error.message;
	};
	const podWith = (path: string): Pod => ({
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'a', namespace: 'b' },
		spec: { containers: [{ name: 'main', image: 'x' }], volumes: [{ name: 'v', hostPath: { path } }] },
	});

	it('may say nothing, or everything there is', async () => {
		await load();
		await load(fileOf({}));
		const all = {
			privileged: true,
			hostNetwork: false,
			capabilities: ['NET_BIND_SERVICE', 'ALL'],
			hostPaths: [{ path: '/srv/media', readOnly: true }, { path: '/srv/data' }],
			devices: ['/dev/fuse'],
			hostPorts: [{ from: 80, to: 443 }],
		};
		await load(fileOf({ default: all, owners: { [OWNER]: all } }, 0o644));
	});

	it('is protected from pods itself, and so are the folders of hostd', async () => {
		mkdirSync(join(dir, 'state'));
		const policy = await load(fileOf({ default: { hostPaths: [{ path: dir, readOnly: true }] } }));
		for (const path of [dir, join(dir, 'state'), join(dir, `policy-${next - 1}.json`)]) {
			const error: unknown = await policy.admit(podWith(path), {}).catch((cause: unknown) => cause);
			expect(isMeshError(error, 'invalid_input') && error.message).to.include('which no pod may have');
		}
	});

	for (const [what, mode] of [
		['its group', 0o620],
		['everybody', 0o602],
	] as const) {
		it(`that ${what} can write is refused`, async () => {
			expect(await refusal(fileOf({}, mode))).to.include('can be written by other users: chmod go-w');
		});
	}

	if (process.getuid?.() === 0) {
		it('of another user is refused', async () => {
			const path = fileOf({});
			chownSync(path, 65_534, 65_534);
			expect(await refusal(path))
				.to.include('belongs to user 65534')
				.and.to.include('chown 0');
			const link = join(dir, 'link.json');
			symlinkSync(path, link);
			expect(await refusal(link)).to.include('belongs to user 65534');
		});
	}

	it('that is not there, or no file, is refused', async () => {
		expect(await refusal(join(dir, 'gone.json'))).to.include('cannot read');
		expect(await refusal(dir)).to.include('is no file');
	});

	for (const [what, content, message] of [
		['no JSON', '{ default: }', /is not JSON/],
		['a list', [], /a policy must be an object/],
		['a key that is none', { defaults: {} }, /: defaults: a policy has no such field here; known are default, owners$/],
		[
			'an allowance that is none',
			{ default: { sysctls: [] } },
			/: default\.sysctls: .* known are privileged, hostNetwork, capabilities, hostPaths, devices, hostPorts$/,
		],
		['an allowance in other letters', { default: { hostpaths: [] } }, /: default\.hostpaths: .* spelled hostPaths$/],
		['a text for a flag', { default: { privileged: 'true' } }, /: default\.privileged: must be true or false$/],
		['an owner that is none', { owners: { alice: {} } }, /: owners\.alice: is not the id of an owner/],
		[
			'a capability that is none',
			{ owners: { [OWNER]: { capabilities: ['NET_ADMIN', 'CAP_CHOWN'] } } },
			/capabilities\[1\]: CAP_CHOWN is no capability; spell it as in NET_BIND_SERVICE$/,
		],
		[
			'a relative path',
			{ default: { hostPaths: [{ path: 'srv' }] } },
			/hostPaths\[0\]\.path: must be an absolute path/,
		],
		['a path by a detour', { default: { hostPaths: [{ path: '/srv/../etc' }] } }, /hostPaths\[0\]\.path: /],
		[
			'a folder without its path',
			{ default: { hostPaths: [{ readOnly: true }] } },
			/hostPaths\[0\]\.path: is required/,
		],
		['a device elsewhere', { default: { devices: ['/srv/fuse'] } }, /devices\[0\]: must be a file below \/dev/],
		[
			'a range of ports upside down',
			{ default: { hostPorts: [{ from: 2, to: 1 }] } },
			/hostPorts\[0\]: "from" must not/,
		],
		[
			'a path below a folder that pods may write',
			{ default: { hostPaths: [{ path: '/srv' }] }, owners: { [OWNER]: { hostPaths: [{ path: '/srv/a' }] } } },
			/owners\..*\.hostPaths\[0\]\.path: \/srv\/a lies below \/srv of default\.hostPaths\[0\]/,
		],
	] as const) {
		it(`with ${what} is refused, naming file, key and what is wrong`, async () => {
			expect(await refusal(fileOf(content))).to.match(message);
		});
	}
});
