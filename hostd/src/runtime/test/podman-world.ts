/** A Podman of its own for tests: its storage, its service, one small image; removed without a trace at the end. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Busybox programs that the probe and the suite use. */
const APPLETS = ['sh', 'sleep', 'cat', 'true', 'nc', 'printf'];

export class PodmanWorld {
	readonly folder: string;
	/** Global options that keep this Podman apart from the machine's. */
	readonly args: readonly string[];
	readonly socket: string;

	constructor() {
		this.folder = mkdtempSync(join(tmpdir(), 'beemesh-podman-'));
		this.socket = join(this.folder, 'podman.sock');
		this.args = [
			`--root=${join(this.folder, 'root')}`,
			`--runroot=${join(this.folder, 'run')}`,
			`--tmpdir=${join(this.folder, 'tmp')}`,
		];
	}

	async podman(...args: string[]): Promise<string> {
		return (await run('podman', [...this.args, ...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
	}

	/** An image of busybox and the probe, made from what is on this machine. */
	async buildProbeImage(image: string): Promise<void> {
		const tree = join(this.folder, 'image');
		const bin = join(tree, 'bin');
		mkdirSync(bin, { recursive: true });
		mkdirSync(join(tree, 'tmp'), { mode: 0o1777 });
		cpSync('/bin/busybox', join(bin, 'busybox'), { dereference: true });
		for (const applet of APPLETS) symlinkSync('busybox', join(bin, applet));
		cpSync(join(import.meta.dirname, 'probe.sh'), join(bin, 'probe'));
		const archive = join(this.folder, 'image.tar');
		await run('tar', ['--create', `--file=${archive}`, `--directory=${tree}`, '--mode=a+rx', '.']);
		await this.podman('import', '--change=ENTRYPOINT ["/bin/probe"]', '--change=ENV PATH=/bin', archive, image);
		rmSync(tree, { recursive: true });
		rmSync(archive);
	}

	/** Removes everything, and tells what could not be. */
	async close(): Promise<void> {
		await this.podman('pod', 'rm', '--all', '--force', '--time=0').catch(() => '');
		await this.podman('rm', '--all', '--force', '--time=0').catch(() => '');
		await this.podman('volume', 'rm', '--all', '--force').catch(() => '');
		await this.podman('network', 'prune', '--force').catch(() => '');
		for (const mount of this.mounts().reverse()) await run('umount', ['--lazy', mount]).catch(() => undefined);
		rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
	}

	/** Mounts below this Podman's folder. */
	mounts(): string[] {
		return readFileSync('/proc/self/mounts', 'utf8')
			.split('\n')
			.map((line) => line.split(' ')[1] ?? '')
			.filter((path) => path.startsWith(`${this.folder}/`));
	}
}

/** Undefined when Podman can be used here, else why not. */
export async function podmanMissing(): Promise<string | undefined> {
	if (process.getuid?.() !== 0) return 'this suite needs root (.ci/install-podman.sh prepares a machine)';
	try {
		await run('podman', ['--version']);
		await run('/bin/busybox', ['true']);
		return undefined;
	} catch (error) {
		return `podman or busybox is missing: .ci/install-podman.sh installs them (${(error as Error).message})`;
	}
}
