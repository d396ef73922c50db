import { UsageError } from '@beemesh/example-kv-store/kit';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readOptions } from './options.ts';

describe("web-frontend's options", () => {
	it('in a pod come from the host', () => {
		const http = { host: '0.0.0.0', port: 41080 };
		const env = { BEEMESH_PORT_HTTP: '41080', BEEMESH_BIND: '0.0.0.0' };
		expect(readOptions([], env)).to.deep.equal({ http, store: 'kv-store' });
		expect(readOptions([], { ...env, KV_STORE: 'notes' })).to.deep.equal({ http, store: 'notes' });
	});

	it('in development come from the command line', () => {
		const argv = ['--dev', '--name', 'web', '--store', 'notes', '--http', '[::1]:8080'];
		const http = { host: '::1', port: 8080 };
		expect(readOptions(argv, {})).to.deep.equal({ devName: 'web', http, store: 'notes' });
	});

	it('refuse mistakes with advice', () => {
		expect(() => readOptions(['--dev'], {})).to.throw(UsageError, '--http is missing');
		expect(() => readOptions(['--store', 'x'], {})).to.throw(UsageError, '--dev');
		expect(readOptions(['-h'], {})).to.equal('help');
	});
});
