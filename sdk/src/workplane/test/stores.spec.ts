import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { fileStores, type Life } from '../stores.ts';

describe('where groups keep their state', () => {
	let dir: string;
	const life = (change: Partial<Life> = {}): Life => ({ gen: 1, award: 'A', incarnation: 0, ...change });
	const groupFile = (folder: string): string => join(dir, 'raft', folder, 'kv', 'log');

	beforeEach(async () => {
		dir = await mkdtemp(join(tmpdir(), 'beemesh-stores-'));
		expect(await fileStores(dir).prepare(life(), 3)).to.equal(3);
		await mkdir(join(dir, 'raft', 'g1', 'kv'), { recursive: true });
		await writeFile(groupFile('g1'), 'votes');
	});
	afterEach(() => rm(dir, { recursive: true, force: true }));

	it('a restart in place finds its state and its founders', async () => {
		expect(await fileStores(dir).prepare(life({ incarnation: 1 }), 0)).to.equal(3);
		expect(existsSync(groupFile('g1'))).to.equal(true);
	});

	it('a restart without its state must not go on: its votes are forgotten', async () => {
		await rm(join(dir, 'raft'), { recursive: true });
		expect(await fileStores(dir).prepare(life({ incarnation: 1 }), 3)).to.equal(undefined);
	});

	it('a newer generation is a new member: older state goes', async () => {
		expect(await fileStores(dir).prepare(life({ gen: 2, award: 'B' }), 0)).to.equal(0);
		expect(existsSync(groupFile('g1'))).to.equal(false);
	});

	it('a workload applied again founds afresh, and the state of its last life is put aside', async () => {
		for (const award of ['B', 'C']) {
			expect(await fileStores(dir).prepare(life({ award }), 5)).to.equal(5);
			expect(existsSync(groupFile('g1'))).to.equal(false);
			expect(await fileStores(dir).prepare(life({ award, incarnation: 1 }), 0)).to.equal(5);
			expect(existsSync(groupFile('earlier'))).to.equal(award === 'B');
		}
	});
});
