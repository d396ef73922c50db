import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyPair, genesisFor, workloadIdOf } from '@beemesh/sdk/identity';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { KeptVolumes } from './kept-volumes.ts';

const owner = createKeyPair();

function end(name = 'kv', era = 5) {
	return { wid: workloadIdOf(genesisFor(owner.publicKey, 'StatefulSet', 'default', name)), era };
}

describe('volumes kept without a pod', () => {
	let dir: string;
	let kept: KeptVolumes;

	beforeEach(async () => {
		dir = await mkdtemp(join(tmpdir(), 'beemesh-volumes-'));
		kept = new KeptVolumes(dir);
		await kept.keep('kv-0', end('kv', 4));
		await kept.keep('kv-1', end('kv', 4));
		await kept.keep('db-0', end('db', 1));
	});
	afterEach(() => rm(dir, { recursive: true, force: true }));

	it('end with their workload, also after a restart of the host', async () => {
		expect((await new KeptVolumes(dir).endedBy(end())).sort()).to.deep.equal(['kv-0', 'kv-1']);
		await kept.forget('kv-0');
		expect(await kept.endedBy(end())).to.deep.equal(['kv-1']);
	});

	it('outlive every other end: of an older era, of another workload', async () => {
		for (const other of [end('kv', 4), end('web')]) expect(await kept.endedBy(other)).to.deep.equal([]);
	});
});
