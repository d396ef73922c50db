import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type HostConfig, readConfig } from './config.ts';

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
		writeFileSync(file, JSON.stringify({ name: 'from-file', mesh: 'from-file', port: 1 }));
		const config = configOf(['--config', file, '--name', 'from-flag'], { BEEMESH_NAME: 'from-env', BEEMESH_PORT: '2' });
		expect(config.name).to.equal('from-flag');
		expect(config.port).to.equal(2);
		expect(config.mesh).to.equal('from-file');
		expect(config.bind).to.equal('127.0.0.1');
	});

	it('listens on loopback unless told otherwise', () => {
		expect(configOf([]).bind).to.equal('127.0.0.1');
		expect(configOf([]).metrics).to.equal(undefined);
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
		['a config file that is not there', ['--config', '/nowhere.json'], /nowhere/],
	] as const) {
		it(`refuses ${what} and names it`, () => {
			expect(() => readConfig(argv, {}, false)).to.throw(message);
		});
	}

	it('refuses an unknown setting in the file', () => {
		const file = join(dir, 'unknown.json');
		writeFileSync(file, JSON.stringify({ nmae: 'x' }));
		expect(() => readConfig(['--config', file], {}, false)).to.throw(/nmae/);
	});

	it('shows help and version without anything else', () => {
		expect(readConfig(['--help'], {}, false).run).to.equal('help');
		expect(readConfig(['--version'], {}, false).run).to.equal('version');
	});
});
