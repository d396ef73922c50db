import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
	createKeyPair,
	defaultAdmissionTerms,
	genesisFor,
	ownerIdOf,
	signRecord,
	workloadIdOf,
} from '@beemesh/sdk/identity';
import type { RecordCid } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { KeptVolumes } from './kept-volumes.ts';

const owner = createKeyPair();
const nowMs = Date.now();

function widOf(name: string) {
	return workloadIdOf(genesisFor(owner.publicKey, 'StatefulSet', 'default', name));
}

function charter(change: { name?: string; era?: number; deleted?: boolean }, signer = owner): Uint8Array {
	const { name = 'kv', era = 5, deleted = true } = change;
	return signRecord(
		'charter',
		{
			...{ wid: widOf(name), owner: ownerIdOf(signer.publicKey), era, kind: 'StatefulSet', namespace: 'default', name },
			...defaultAdmissionTerms(0),
			...{ manifestCid: widOf(name) as unknown as RecordCid, replicas: 0, deleted, nbf: nowMs, exp: nowMs + 60_000 },
		},
		signer,
	);
}

describe('volumes kept without a pod', () => {
	let dir: string;
	let kept: KeptVolumes;

	beforeEach(async () => {
		dir = await mkdtemp(join(tmpdir(), 'beemesh-volumes-'));
		kept = new KeptVolumes(dir);
		await kept.keep('kv-0', { wid: widOf('kv'), era: 4 });
		await kept.keep('kv-1', { wid: widOf('kv'), era: 4 });
		await kept.keep('db-0', { wid: widOf('db'), era: 1 });
	});
	afterEach(() => rm(dir, { recursive: true, force: true }));

	it('end with their workload, also after a restart of the host', async () => {
		expect((await new KeptVolumes(dir).endedBy(charter({}), nowMs)).sort()).to.deep.equal(['kv-0', 'kv-1']);
		await kept.forget('kv-0');
		expect(await kept.endedBy(charter({}), nowMs)).to.deep.equal(['kv-1']);
	});

	it('outlive every other charter: of a living workload, of an older era, of another workload', async () => {
		for (const change of [{ deleted: false }, { era: 4 }, { name: 'web' }]) {
			expect(await kept.endedBy(charter(change), nowMs), JSON.stringify(change)).to.deep.equal([]);
		}
	});

	it('are not ended by anybody but the owner', async () => {
		const error = await kept.endedBy(charter({}, createKeyPair()), nowMs).catch((e: unknown) => e);
		expect(error).to.include({ code: 'unauthorized' });
	});
});
