/** Runs system tools for the end-to-end harness. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { it } from 'mocha';

const run = promisify(execFile);

export interface CommandResult {
	readonly exitCode: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs to the end, whatever its exit code. */
export async function tryCommand(command: readonly string[]): Promise<CommandResult> {
	const [program = '', ...args] = command;
	try {
		const { stdout, stderr } = await run(program, args, { maxBuffer: 64 * 1024 * 1024 });
		return { exitCode: 0, stdout, stderr };
	} catch (error) {
		const failed = error as { code?: number | string; stdout?: string; stderr?: string };
		if (typeof failed.code !== 'number') throw error;
		return { exitCode: failed.code, stdout: failed.stdout ?? '', stderr: failed.stderr ?? '' };
	}
}

/** Runs to a successful end and returns its output. */
export async function command(...words: readonly string[]): Promise<string> {
	const result = await tryCommand(words);
	if (result.exitCode !== 0)
		throw new Error(`${words.join(' ')} ended with ${result.exitCode}: ${result.stderr.trim()}`);
	return result.stdout;
}

/** Why the end-to-end suites cannot run here; undefined when they can. */
export async function e2eMissing(): Promise<string | undefined> {
	if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux and root, for network namespaces';
	for (const tool of [
		['podman', '--version'],
		['ip', '-V'],
		['nsenter', '--version'],
	]) {
		try {
			await command(...tool);
		} catch {
			return `${tool[0]} is missing: .ci/install-podman.sh installs what is needed`;
		}
	}
	return undefined;
}

/** In place of a suite's tests: says what is missing, and fails in CI. */
export function skipLoudly(missing: string): void {
	it('is needed for the end-to-end suites', function () {
		if (process.env['CI']) throw new Error(missing);
		console.log(`      skipped: ${missing}`);
		this.skip();
	});
}

export interface FoundProcess {
	readonly pid: number;
	readonly commandLine: string;
}

/** Processes for which the predicate holds; one that ends while we look, and a zombie, hold nothing any more. */
export function findProcesses(matches: (process: FoundProcess) => boolean): FoundProcess[] {
	const found: FoundProcess[] = [];
	for (const entry of readdirSync('/proc')) {
		const pid = Number(entry);
		if (!Number.isInteger(pid) || pid === process.pid) continue;
		try {
			const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
			if (matches({ pid, commandLine })) found.push({ pid, commandLine });
		} catch {
			// Ended.
		}
	}
	return found;
}
