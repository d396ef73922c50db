import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { VERSION } from '../version.ts';
import { invoke } from './invoke.ts';

const COMMANDS = ['apply', 'get', 'describe', 'logs', 'scale', 'delete', 'owner', 'version'];

describe('the command line', () => {
	it('explains itself, and every command', async () => {
		const { code, out } = await invoke(['--help']);
		expect(code).to.equal(0);
		for (const name of COMMANDS) {
			expect(out).to.contain(`\n  ${name} `);
			const help = await invoke([name, '--help']);
			expect(help.code).to.equal(0);
			expect(help.out).to.contain('Examples:\n').and.contain('Exit codes:\n').and.contain('Usage:\n');
			expect((await invoke(['help', name])).out).to.equal(help.out);
		}
	});

	it('ends with 2 and points to the help when it is used wrongly', async () => {
		const cases: readonly (readonly [args: string, error: RegExp])[] = [
			['', /^beectl: the owner's tool/],
			['aply', /there is no command "aply"; did you mean "apply"\? \(see `beectl --help`\)/],
			['get', /name a resource: .* \(see `beectl get --help`\)/],
			['get potatoes', /there is no resource "potatoes"/],
			['get pods --bogus', /Unknown option '--bogus' \(see `beectl get --help`\)/],
			['get pods -o xml', /-o: "xml" is not one of wide, json, yaml, name/],
			['get pods -A -n x', /-A and -n exclude each other/],
			['get pods -w -o json', /-w prints lines of a table; leave out -o json/],
			['help aply', /there is no command "aply"; did you mean "apply"\?/],
			[
				'logs x --tail -1',
				/^error: --tail: needs a value; one that starts with a dash is written --tail=-… \(see .*\)\n$/,
			],
			['apply -f /dev/zero', /\/dev\/zero: has more than 1048576 bytes/],
			['apply', /name at least one file with -f/],
			['apply -f x --wait=maybe', /--wait: "maybe" is neither true nor false/],
			['apply -f /nowhere.yaml', /\/nowhere\.yaml: no such file or folder/],
			['apply -f https://example.com/x.yaml', /addresses are not fetched/],
			['scale deploy/x', /say how many with --replicas=N/],
			['scale deploy/x --replicas=-1', /is not a whole number|argument is ambiguous/],
			['scale deploy/x --replicas=0', /use `beectl delete`/],
			['scale pod/x --replicas=1', /this does not work on a pod, but on deployment or statefulset/],
			['logs', /name one pod/],
			['owner sell', /there is no "owner sell"; say create or show/],
		];
		for (const [args, error] of cases) {
			const result = await invoke(args === '' ? [] : args.split(' '), { env: { BEEMESH_OWNER: '/nowhere/key' } });
			expect(result.err, args).to.match(error);
			expect(result.code, args).to.equal(2);
			expect(result.out, args).to.equal('');
		}
	});

	it('takes options of all commands before the command too', async () => {
		const { code, err } = await invoke(['--host', '/nowhere/h.sock', '--owner', '/nowhere/o.key', 'get', 'hosts']);
		expect(code).to.equal(4);
		expect(err).to.equal(
			'error: no host answers at /nowhere/h.sock; start one with `hostd`, or name its socket with --host or BEEMESH_HOST\n',
		);
	});

	it('takes an empty variable for one that is not set', async () => {
		const env = { BEEMESH_HOST: '/nowhere/h.sock', BEEMESH_OWNER: '', XDG_CONFIG_HOME: '', HOME: '/nowhere' };
		const { err } = await invoke(['get', 'pods'], { env });
		expect(err).to.contain('there is no owner key at /nowhere/.config/beemesh/owner.key');
	});

	it('has the version of its package', async () => {
		const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
			version: string;
		};
		expect(VERSION).to.equal(version);
		expect((await invoke(['version', '--client'])).out).to.equal(`beectl ${version}\n`);
		const offline = await invoke(['version', '--host', '/nowhere/h.sock']);
		expect(offline.code).to.equal(0);
		expect(offline.err).to.match(/^note: no host answers at /);
	});
});

describe('the owner key', () => {
	let folder: string;
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'beectl-owner-'));
	});
	afterEach(() => rm(folder, { recursive: true }));

	it('is made once, for its owner only, and is never replaced', async () => {
		const file = join(folder, 'deep', 'owner.key');
		const made = await invoke(['owner', 'create', '--owner', file]);
		expect(made.code).to.equal(0);
		expect((await stat(file)).mode & 0o777).to.equal(0o600);
		expect((await stat(join(folder, 'deep'))).mode & 0o777).to.equal(0o700);
		const text = await readFile(file, 'utf8');
		expect(JSON.parse(text)).to.include({ v: 1, type: 'beemesh-owner' });
		expect((await invoke(['owner', 'show'], { env: { BEEMESH_OWNER: file } })).out).to.equal(made.out);
		const again = await invoke(['owner', 'create', '--owner', file]);
		expect(again.code).to.equal(1);
		expect(again.err).to.contain('exists already and is left as it is');
		expect(await readFile(file, 'utf8')).to.equal(text);
	});

	it('is refused when others can read it', async () => {
		const file = join(folder, 'owner.key');
		await invoke(['owner', 'create', '--owner', file]);
		await chmod(file, 0o640);
		const { code, err } = await invoke(['owner', 'show', '--owner', file]);
		expect(code).to.equal(1);
		expect(err).to.contain(`can be read by others (mode 640); run \`chmod 600 ${file}\``);
	});

	it('is a file that can be made and read', async () => {
		const asFolder = await invoke(['owner', 'show', '--owner', folder]);
		expect(asFolder.code).to.equal(2);
		expect(asFolder.err).to.equal(`error: ${folder} is not a file; name the owner key with --owner\n`);
		const file = join(folder, 'owner.key');
		await invoke(['owner', 'create', '--owner', file]);
		const below = await invoke(['owner', 'create', '--owner', join(file, 'below')]);
		expect(below.code).to.equal(1);
		expect(below.err).to.match(/^error: cannot use the owner key .*below: /);
	});

	it('is asked for by name when it is missing', async () => {
		const { code, err } = await invoke(['get', 'pods'], { env: { HOME: folder } });
		expect(code).to.equal(3);
		expect(err).to.contain(
			`there is no owner key at ${folder}/.config/beemesh/owner.key; make one with \`beectl owner create\``,
		);
	});
});
