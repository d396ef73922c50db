/** Hosts that a suite's tests start, each ended with its test. */
import { afterEach } from 'mocha';
import { startHost, type TestHost } from './host.ts';

/** To be called in a `describe`; returns `startHost` for its tests. */
export function startInSuite(): typeof startHost {
	const hosts: TestHost[] = [];
	afterEach(async () => {
		await Promise.all(hosts.splice(0).map((host) => host[Symbol.asyncDispose]()));
	});
	return async (...args) => {
		const host = await startHost(...args);
		hosts.push(host);
		return host;
	};
}
