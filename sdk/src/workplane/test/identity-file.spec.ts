import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createUlid } from '../../identity/index.ts';
import { openIdentity } from '../identity-file.ts';

const award = createUlid(1);

describe('the identity of a replica', () => {
	let folder: string;
	beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'beemesh-identity-'))));
	afterEach(() => rmSync(folder, { recursive: true }));

	it('is the same after a restart in place: keys, request and certificate', async () => {
		const first = await openIdentity(folder, award);
		expect(first.cert).to.equal(undefined);
		const request = await first.request(() => new Uint8Array([1]));
		const crashed = await openIdentity(folder, award);
		expect(crashed.keys.peer.peerId).to.equal(first.keys.peer.peerId);
		expect(await crashed.request(() => new Uint8Array([2]))).to.deep.equal(request);
		await crashed.admitted(new Uint8Array([3]));
		const again = await openIdentity(folder, award);
		expect(again.cert).to.deep.equal(new Uint8Array([3]));
		expect(again.keys.seed).to.deep.equal(first.keys.seed);
		expect(statSync(join(folder, 'replica')).mode & 0o777).to.equal(0o600);
	});

	it('is another one under another award, after damage, and without a folder', async () => {
		const first = await openIdentity(folder, award);
		await first.admitted(new Uint8Array([3]));
		const others = [await openIdentity(folder, createUlid(2)), await openIdentity(undefined, award)];
		writeFileSync(join(folder, 'replica'), 'damaged');
		others.push(await openIdentity(folder, award));
		for (const { cert, keys } of others) {
			expect(cert).to.equal(undefined);
			expect(keys.peer.peerId).to.not.equal(first.keys.peer.peerId);
		}
	});
});
