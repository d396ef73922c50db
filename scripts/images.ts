/**
 * Builds the images of the examples from what is on this machine, without a registry and without running anything while
 * building: a base of Node and the libraries it loads, and on it each example's own Containerfile.
 *
 *   node scripts/run.mjs scripts/images.ts [--podman-arg=--root=DIR …]
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

export const BASE_IMAGE = 'localhost/beemesh/node:24';
export const EXAMPLES = ['kv-store', 'web-frontend'] as const;

export interface ImageOptions {
	/** Global options of podman, such as `--root=DIR`, that choose its storage. */
	readonly podmanArgs?: readonly string[];
	/** The repository. */
	readonly root?: string;
	/** The Node binary to put into the base. @default the one that runs this */
	readonly node?: string;
	readonly say?: (text: string) => void;
}

export function imageOf(example: (typeof EXAMPLES)[number]): string {
	return `localhost/beemesh/${example}:dev`;
}

/** Builds what is missing or outdated; returns the names. The examples' bundles must be built (`npm run build`). */
export async function buildImages(options: ImageOptions = {}): Promise<readonly string[]> {
	const root = options.root ?? ROOT;
	const podmanArgs = options.podmanArgs ?? [];
	const say = options.say ?? (() => undefined);
	await buildBaseImage(options);
	for (const example of EXAMPLES) {
		const folder = join(root, 'examples', example);
		if (!existsSync(join(folder, 'dist/main.mjs'))) {
			throw new Error(`examples/${example}/dist/main.mjs is missing: run \`npm run build\` first`);
		}
		say(`building ${imageOf(example)}`);
		const build = ['build', '--quiet', '--pull-never', `--build-arg=BASE=${BASE_IMAGE}`, `--tag=${imageOf(example)}`];
		await podman(podmanArgs, [...build, folder]);
	}
	return [BASE_IMAGE, ...EXAMPLES.map(imageOf)];
}

/** Builds {@link BASE_IMAGE}: Node, and the libraries that it and the examples' native add-on load. */
export async function buildBaseImage(options: ImageOptions = {}): Promise<void> {
	const { podmanArgs = [], root = ROOT, say = () => undefined } = options;
	const node = realpathSync(options.node ?? process.execPath);
	// The examples bring a native add-on; what it loads must be there too.
	const addons = globSync('examples/*/dist/*.node', { cwd: root }).map((path) => join(root, String(path)));
	const libraries = await librariesOf([node, ...addons]);
	const content = createHash('sha256');
	for (const path of [node, ...libraries]) content.update(`${path} ${statSync(path).size} ${statSync(path).mtimeMs}\n`);
	const digest = content.digest('hex');
	const label = '{{index .Config.Labels "io.beemesh.content"}}';
	const present = await podman(podmanArgs, ['image', 'inspect', `--format=${label}`, BASE_IMAGE]).catch(() => '');
	if (present.trim() === digest) return;
	say(`building ${BASE_IMAGE} from ${node} and ${libraries.length} libraries`);
	const tree = mkdtempSync(join(tmpdir(), 'beemesh-base-'));
	try {
		mkdirSync(join(tree, 'etc'));
		mkdirSync(join(tree, 'tmp'), { mode: 0o1777 });
		writeFileSync(
			join(tree, 'etc/passwd'),
			'root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n',
		);
		writeFileSync(join(tree, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
		const changes = [
			'ENV PATH=/usr/local/bin:/usr/bin:/bin',
			'ENV HOME=/',
			`LABEL io.beemesh.content=${digest}`,
			'CMD ["node"]',
		].map((change) => `--change=${change}`);
		const files = [node, ...libraries].map((path) => path.slice(1));
		const archive = spawn(
			'tar',
			[
				'--create',
				'--dereference',
				'--owner=0',
				'--group=0',
				`--transform=flags=r;s|^${node.slice(1)}$|usr/local/bin/node|`,
				`--directory=${tree}`,
				'etc',
				'tmp',
				'--directory=/',
				...files,
			],
			{ stdio: ['ignore', 'pipe', 'inherit'] },
		);
		const load = spawn('podman', [...podmanArgs, 'import', '--quiet', ...changes, '-', BASE_IMAGE], {
			stdio: [archive.stdout, 'ignore', 'pipe'],
		});
		const errors: Buffer[] = [];
		load.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
		const [[tarCode], [loadCode]] = await Promise.all([once(archive, 'exit'), once(load, 'close')]);
		if (tarCode !== 0) throw new Error(`tar ended with ${tarCode}`);
		if (loadCode !== 0) throw new Error(`podman import: ${Buffer.concat(errors).toString('utf8')}`);
	} finally {
		rmSync(tree, { recursive: true, force: true });
	}
}

/** Shared libraries that these programs load, the loader among them, by the paths they look for. */
async function librariesOf(programs: readonly string[]): Promise<string[]> {
	const libraries = new Set<string>();
	for (const program of programs) {
		for (const match of (await run('ldd', [program])).stdout.matchAll(/(\/\S+) \(0x/g)) libraries.add(match[1] ?? '');
	}
	return [...libraries].sort();
}

async function podman(podmanArgs: readonly string[], args: readonly string[]): Promise<string> {
	try {
		return (await run('podman', [...podmanArgs, ...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
	} catch (error) {
		const { stderr } = error as { stderr?: string };
		throw new Error(`podman ${args[0]}: ${(stderr ?? String(error)).trim()}`, { cause: error });
	}
}

if (import.meta.main) {
	const { values } = parseArgs({ options: { 'podman-arg': { type: 'string', multiple: true, default: [] } } });
	const images = await buildImages({ podmanArgs: values['podman-arg'], say: (text) => console.error(text) });
	for (const image of images) console.log(image);
}
