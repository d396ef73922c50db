import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createUlid } from '../../identity/index.ts';
import { fileIdentity, memoryIdentity, openIdentity } from '../identity-file.ts';

const award = createUlid(1);
const papers = (byte: number) => ({ csr: new Uint8Array([byte]), cert: new Uint8Array([byte]) });

describe('the identity of a replica', () => {
	let folder: string;
	beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'beemesh-identity-'))));
	afterEach(() => rmSync(folder, { recursive: true }));

	it('is the same after a restart in place: keys, request and admission', async () => {
		const first = await openIdentity(fileIdentity(folder), award);
		expect(first.admission).to.equal(undefined);
		const request = await first.request(() => papers(1));
		const crashed = await openIdentity(fileIdentity(folder), award);
		expect(crashed.keys.peer.peerId).to.equal(first.keys.peer.peerId);
		expect(await crashed.request(() => papers(2))).to.deep.equal(request);
		await crashed.admitted(new Uint8Array([3]));
		const again = await openIdentity(fileIdentity(folder), award);
		expect(again.admission).to.deep.equal(new Uint8Array([3]));
		expect(again.keys.seed).to.deep.equal(first.keys.seed);
		expect(statSync(join(folder, 'replica')).mode & 0o777).to.equal(0o600);
	});

	it('is another one under another award, after damage, and without a folder', async () => {
		const first = await openIdentity(fileIdentity(folder), award);
		await first.admitted(new Uint8Array([3]));
		const others = [
			await openIdentity(fileIdentity(folder), createUlid(2)),
			await openIdentity(memoryIdentity(), award),
		];
		writeFileSync(join(folder, 'replica'), 'damaged');
		others.push(await openIdentity(fileIdentity(folder), award));
		for (const { admission, keys } of others) {
			expect(admission).to.equal(undefined);
			expect(keys.peer.peerId).to.not.equal(first.keys.peer.peerId);
		}
	});
});
