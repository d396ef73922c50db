import { expect } from 'chai';
import { describe, it } from 'mocha';
import { UsageError } from './kit/index.ts';
import { readOptions } from './options.ts';

describe("kv-store's options", () => {
	it('in a pod come from the host', () => {
		const env = { BEEMESH_PORT_HTTP: '41080', BEEMESH_BIND: '10.0.0.2', BEEMESH_VOLUME_DATA: '/volumes/7' };
		expect(readOptions([], env)).to.deep.equal({ http: { host: '10.0.0.2', port: 41080 }, dataDir: '/volumes/7' });
		expect(readOptions([], {})).to.deep.equal({ http: { host: '127.0.0.1', port: 8080 }, dataDir: '/data' });
		expect(readOptions([], { BEEMESH_BIND: '::1' })).to.deep.include({ http: { host: '::1', port: 8080 } });
	});

	it('in development come from the command line', () => {
		const argv = ['--dev', '--name', 'notes', '--http', '127.0.0.1:8081', '--data', 'd/1'];
		const http = { host: '127.0.0.1', port: 8081 };
		expect(readOptions(argv, {})).to.deep.equal({ devName: 'notes', http, dataDir: 'd/1' });
		expect(readOptions([...argv, '--snapshot-after', '16'], {})).to.include({ snapshotAfterBytes: 16_384 });
	});

	it('offer help', () => {
		expect(readOptions(['--help'], {})).to.equal('help');
		expect(readOptions(['-h'], {})).to.equal('help');
	});

	const mistakes: [string, string[], string][] = [
		['an unknown flag', ['--devv'], '--devv'],
		['a flag of development without --dev', ['--http', '127.0.0.1:1'], '--dev'],
		['no address', ['--dev', '--data', 'd'], '--http is missing'],
		['no directory', ['--dev', '--http', '127.0.0.1:1'], '--data is missing'],
		['an address without a port', ['--dev', '--data', 'd', '--http', '127.0.0.1'], 'write HOST:PORT'],
		['no log at all', ['--dev', '--http', '127.0.0.1:1', '--data', 'd', '--snapshot-after', '0'], 'from 1 on'],
		['a port that does not exist', ['--dev', '--data', 'd', '--http', 'localhost:70000'], 'write HOST:PORT'],
	];
	for (const [what, argv, says] of mistakes) {
		it(`refuse ${what}`, () => {
			expect(() => readOptions(argv, {})).to.throw(UsageError, says);
		});
	}
});
