/** A mesh through real enrolment: root key in a throw-away folder, and for each machine its request and its sealed bundle. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Programs {
	readonly node: string;
	readonly hostd: string;
	readonly beectl: string;
}

export interface EnrolledMesh {
	/** The root's file, for `beectl --mesh`. */
	readonly file: string;
	/** The bundle to start a host with, its labels certified. A state folder that has been enrolled before keeps its keys. */
	enrol(name: string, stateDir: string, labels?: Readonly<Record<string, string>>): Promise<string>;
}

export async function createMesh({ node, hostd, beectl }: Programs, folder: string): Promise<EnrolledMesh> {
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const file = join(folder, 'mesh.json');
	const invite = join(folder, 'mesh.invite');
	const operator = (...args: string[]) => run(node, [beectl, '--mesh', file, ...args]);
	await operator('mesh', 'init', '--name', 'quickstart', '--no-passphrase');
	await operator('mesh', 'invite', '-o', invite);
	let enrolled: Promise<unknown> = Promise.resolve();
	return {
		file,
		async enrol(name, stateDir, labels = {}) {
			const [request, bundle] = [join(folder, `${name}.request`), join(folder, `${name}.bundle`)];
			if (existsSync(bundle)) return bundle;
			const words = ['request', '--invite', invite, '--name', name, '--state-dir', stateDir];
			const { stdout } = await run(node, [hostd, ...words]);
			writeFileSync(request, stdout);
			// One after the other: each is a change of the mesh's file.
			const vouched = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
			const enrolling = enrolled.then(() => operator('mesh', 'enroll', request, '-o', bundle, '--renews', ...vouched));
			enrolled = enrolling.catch(() => undefined);
			await enrolling;
			return bundle;
		},
	};
}
