import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { allocatableOf, parseCpuMax, parseMemoryMax, withParents } from './core/allocatable.ts';
import { readMachineFacts } from './reader.ts';

async function withRoot(files: Readonly<Record<string, string>>, use: (root: string) => Promise<void>): Promise<void> {
	const root = await mkdtemp(join(tmpdir(), 'beemesh-reader-'));
	try {
		for (const [path, text] of Object.entries(files)) {
			await mkdir(dirname(join(root, path)), { recursive: true });
			await writeFile(join(root, path), text);
		}
		await use(root);
	} finally {
		await rm(root, { recursive: true });
	}
}

describe('machine facts', () => {
	it('reads this machine', async () => {
		const facts = await readMachineFacts({ stateDir: tmpdir() });
		expect(facts.cores).to.be.greaterThan(0);
		expect(facts.memoryBytes).to.be.greaterThan(0);
		expect(facts.diskBytes).to.be.greaterThan(0);
	});

	it('takes the tightest limit of the control group and its parents (v2)', () =>
		withRoot(
			{
				'proc/self/cgroup': '0::/system.slice/hostd.service\n',
				'sys/fs/cgroup/system.slice/hostd.service/memory.max': 'max\n',
				'sys/fs/cgroup/system.slice/memory.max': '1073741824\n',
				'sys/fs/cgroup/system.slice/hostd.service/cpu.max': '150000 100000\n',
				'sys/fs/cgroup/system.slice/cpu.max': 'max 100000\n',
			},
			async (root) => {
				const facts = await readMachineFacts({ stateDir: tmpdir(), root });
				expect(facts.cpuLimitMillis).to.equal(1500);
				expect(facts.memoryLimitBytes).to.equal(2 ** 30);
			},
		));

	it('reads control groups v1', () =>
		withRoot(
			{
				'proc/self/cgroup': '5:cpu,cpuacct:/a\n3:memory:/a\n',
				'sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': '50000\n',
				'sys/fs/cgroup/cpu/a/cpu.cfs_period_us': '100000\n',
				'sys/fs/cgroup/memory/a/memory.limit_in_bytes': '2147483648\n',
				'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
			},
			async (root) => {
				const facts = await readMachineFacts({ stateDir: tmpdir(), root });
				expect(facts.cpuLimitMillis).to.equal(500);
				expect(facts.memoryLimitBytes).to.equal(2 ** 31);
			},
		));

	it('knows no limit where there are no control groups', () =>
		withRoot({}, async (root) => {
			const facts = await readMachineFacts({ stateDir: tmpdir(), root });
			expect(facts.cpuLimitMillis).to.equal(undefined);
			expect(facts.memoryLimitBytes).to.equal(undefined);
		}));

	it('keeps the reserve back, and never goes below nothing', () => {
		const facts = { cores: 2, cpuLimitMillis: 1500, memoryBytes: 1000, memoryLimitBytes: undefined, diskBytes: 10 };
		expect(allocatableOf(facts, { cpuMillis: 100, memoryBytes: 200, diskBytes: 20 })).to.deep.equal({
			cpuMillis: 1400,
			memoryBytes: 800,
			diskBytes: 0,
		});
	});

	it('understands what the kernel writes, and ignores what it does not', () => {
		expect([
			parseCpuMax('max 100000'),
			parseCpuMax('25000 100000\n'),
			parseCpuMax('-1 100000'),
			parseCpuMax(''),
		]).to.deep.equal([undefined, 250, undefined, undefined]);
		expect([parseMemoryMax('max'), parseMemoryMax('4096\n'), parseMemoryMax('-1')]).to.deep.equal([
			undefined,
			4096,
			undefined,
		]);
		expect(withParents('/a/b')).to.deep.equal(['/a/b', '/a', '/']);
	});
});
