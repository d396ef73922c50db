import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type HostConfig, hostNameOf, nameFrom, parseEndpoint, readConfig } from './config.ts';

function configOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): HostConfig {
	const invocation = readConfig(argv, env, false);
	if (invocation.run !== 'host') throw new Error(`ran ${invocation.run}`);
	return invocation.config;
}

describe('hostd settings', () => {
	let dir: string;
	before(() => {
		dir = mkdtempSync(join(tmpdir(), 'hostd-config-'));
	});
	after(() => rmSync(dir, { recursive: true }));

	it('flags win over environment, environment over file, file over defaults', () => {
		const file = join(dir, 'hostd.json');
		writeFileSync(file, JSON.stringify({ name: 'from-file', labels: { from: 'file' }, port: 1 }));
		const config = configOf(['--config', file, '--name', 'from-flag'], { BEEMESH_NAME: 'from-env', BEEMESH_PORT: '2' });
		expect(config.name).to.equal('from-flag');
		expect(config.port).to.equal(2);
		expect(config.labels).to.deep.equal({ from: 'file' });
		expect(config.bind).to.equal('127.0.0.1');
	});

	it('calls a host as it was told, else as it was enrolled, else as its machine', () => {
		const told = configOf(['--name', 'told']);
		const untold = configOf([]);
		expect(hostNameOf(told, 'enrolled')).to.equal('told');
		expect(hostNameOf(untold, 'enrolled')).to.equal('enrolled');
		expect(hostNameOf(untold, undefined)).to.equal(nameFrom(hostname()));
	});

	it('listens on loopback unless told otherwise', () => {
		expect(configOf([]).bind).to.equal('127.0.0.1');
		expect(configOf([]).metrics).to.equal(undefined);
	});

	it('has no policy file unless one is named', () => {
		expect(configOf([]).policy).to.equal(undefined);
		expect(configOf([], { BEEMESH_POLICY: '/etc/a.json' }).policy).to.equal('/etc/a.json');
		expect(configOf(['--policy', '/etc/b.json'], { BEEMESH_POLICY: '/etc/a.json' }).policy).to.equal('/etc/b.json');
	});

	it('reads labels and join addresses, several or comma-separated', () => {
		expect(configOf(['--label', 'a=1', '--label', 'b=x=y']).labels).to.deep.equal({ a: '1', b: 'x=y' });
		expect(configOf([], { BEEMESH_JOIN: 'x,y' }).join).to.deep.equal(['x', 'y']);
	});

	for (const [what, argv, message] of [
		['an unknown flag', ['--nmae', 'x'], /nmae/],
		['a name that is no DNS label', ['--name', 'Not_A_Label'], /name/],
		['a port that is no number', ['--port', 'many'], /many/],
		['a port that does not exist', ['--port', '70000'], /port/],
		['an unknown runtime', ['--runtime', 'docker'], /runtime/],
		['a label without a value', ['--label', 'zone'], /KEY=VALUE/],
		['an address that is none', ['--bind', 'nope'], /setting bind: "nope" is not an IP address/],
		['a name to be told to others', ['--advertise', 'host.example'], /setting advertise: "host.example" is not an IP/],
		['metrics nowhere', ['--metrics', '127.0.0.1:99999'], /setting metrics: "127.0.0.1:99999" is not ADDRESS:PORT/],
		['an argument', ['extra'], /Unexpected argument 'extra'; see hostd --help$/],
		['a config file that is not there', ['--config', '/nowhere.json'], /nowhere/],
	] as const) {
		it(`refuses ${what} and names it`, () => {
			expect(() => readConfig(argv, {}, false)).to.throw(message);
		});
	}

	for (const [what, content, message] of [
		['an unknown setting', { nmae: 'x' }, 'setting nmae: there is no such setting; see hostd --help'],
		['an unknown part of a setting', { reserve: { cpu: 1 } }, 'setting reserve.cpuMillis: is required'],
		['a text for a number', { port: '4700' }, 'setting port: must be a number'],
		['less than nothing', { reserve: { cpuMillis: -1, memoryBytes: 0, diskBytes: 0 } }, 'at least 0'],
		['an image without a command', { images: { a: { command: [] } } }, 'setting images.a.command: must not be empty'],
		['an unknown word', { logLevel: 'loud' }, 'setting logLevel: "loud" is not one of debug, info, warn, error'],
	] as const) {
		it(`refuses ${what} in the file, and names file and setting`, () => {
			const file = join(dir, 'wrong.json');
			writeFileSync(file, JSON.stringify(content));
			expect(() => readConfig(['--config', file], {}, false))
				.to.throw(message)
				.with.property('message')
				.that.matches(/wrong\.json: setting /);
		});
	}

	it('blames the flag, not the file that it wins over', () => {
		const file = join(dir, 'fine.json');
		writeFileSync(file, JSON.stringify({ bind: '127.0.0.1' }));
		expect(() => readConfig(['--config', file, '--bind', 'x'], {}, false)).to.throw(/^setting bind/);
	});

	it('takes an empty variable for one that is not set', () => {
		const config = configOf([], { BEEMESH_PORT: '', BEEMESH_NAME: '', BEEMESH_JOIN: '', BEEMESH_LABELS: '' });
		expect(config.port).to.equal(4700);
		expect(config.labels).to.deep.equal({});
	});

	it('makes a host name of any machine name', () => {
		expect(['Kitchen_PC.local', '-x-', '', '...', 'a'.repeat(80)].map(nameFrom)).to.deep.equal([
			'kitchen-pc',
			'x',
			'host',
			'host',
			'a'.repeat(63),
		]);
	});

	it('reads addresses with ports, also of IPv6', () => {
		expect(parseEndpoint('[::1]:90')).to.deep.equal({ host: '::1', port: 90 });
		expect(parseEndpoint('0.0.0.0:0')).to.deep.equal({ host: '0.0.0.0', port: 0 });
		for (const wrong of ['', ':90', '::1:90', 'a:b', '127.0.0.1', 'a:70000']) {
			expect(parseEndpoint(wrong), wrong).to.equal(undefined);
		}
	});

	it('shows help and version without anything else', () => {
		expect(readConfig(['--help'], {}, false).run).to.equal('help');
		expect(readConfig(['--version'], {}, false).run).to.equal('version');
	});
});
