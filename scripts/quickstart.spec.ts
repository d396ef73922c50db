import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { RUN_DIR } from './quickstart/processes.ts';

const root = join(import.meta.dirname, '..');

interface Outcome {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

function quickstart(...args: string[]): Promise<Outcome> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, ['--conditions=source', join(root, 'scripts/quickstart.ts'), ...args], {
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		let stdout = '';
		let stderr = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			stdout += text;
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			stderr += text;
		});
		child.on('error', reject);
		child.on('close', (code) => resolve({ code, stdout, stderr }));
	});
}

describe('quickstart', () => {
	it('brings up three hosts and both examples, survives the leader’s host, and leaves nothing behind', async function () {
		this.timeout(180_000);
		const { code, stdout, stderr } = await quickstart('--check');
		expect(code, `${stdout}\n${stderr}`).to.equal(0);
		const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
		expect(result).to.include({ ok: true, lostWrites: 0 });
		expect(result).to.have.all.keys('ok', 'readyMs', 'failoverMs', 'healMs', 'lostWrites');
		expect(existsSync(RUN_DIR)).to.equal(false);
	});

	it('explains a wrong option and exits with 2', async () => {
		const { code, stderr } = await quickstart('--hosts', 'many');
		expect(code).to.equal(2);
		expect(stderr).to.match(/--hosts/);
	});
});
