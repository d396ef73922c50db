import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { VERSION } from '../version.ts';
import { invoke } from './invoke.ts';

const COMMANDS = ['apply', 'get', 'describe', 'logs', 'scale', 'delete', 'owner', 'mesh', 'inspect', 'version'];
const GROUPED = [
	...['create', 'show', 'export'].map((verb) => `owner ${verb}`),
	...['init', 'show', 'invite', 'enroll', 'revoke', 'rotate-psk', 'publish', 'trust'].map((verb) => `mesh ${verb}`),
];

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
		for (const name of GROUPED) {
			const [group = '', verb = ''] = name.split(' ');
			expect((await invoke([group, '--help'])).out).to.contain(`\n  ${verb} `);
			const help = await invoke([group, verb, '--help']);
			expect(help.code).to.equal(0);
			expect(help.out)
				.to.match(new RegExp(`^beectl ${name}: `))
				.and.contain('Examples:\n')
				.and.contain('Usage:\n');
			expect((await invoke(['help', group, verb])).out).to.equal(help.out);
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
			['owner sell', /there is no "owner sell"; say create, show or export \(see `beectl owner --help`\)\n$/],
			['owner', /say create, show or export \(see `beectl owner --help`\)/],
			['owner show me', /unexpected "me" \(see `beectl owner show --help`\)/],
			['mesh init', /name the mesh with --name NAME/],
			['mesh init --name Home!', /--name: "Home!" is not of lower-case letters/],
			['mesh show -o wide', /-o: "wide" is not one of json, yaml/],
			['mesh enroll', /name the request of a machine/],
			['mesh enroll a b', /name a folder for several bundles with -o FOLDER\//],
			['mesh enroll a --days 31', /--days: 31 is more than 30/],
			['mesh enroll a --label zone', /--label: "zone" is not KEY=VALUE/],
			['mesh enroll a --join /ip4/192.0.2.7/tcp/1', /--join: .*ends in \/p2p\/<machine ID>/],
			['mesh enroll /nowhere/a', /\/nowhere\/a: no such file/],
			['mesh revoke', /name a machine by its name or machine ID/],
			['mesh trust a --reset', /name a file, or say --reset, not both/],
			['inspect', /name one file, one CID, or -/],
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
