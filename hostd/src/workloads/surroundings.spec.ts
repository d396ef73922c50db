import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MESH_PORT } from './ports.ts';
import type { HostedPod } from './registry.ts';
import { contextOf, environmentOf, type HostFacts } from './surroundings.ts';

describe('what a pod finds around it', () => {
	const ports = [{ name: MESH_PORT, protocol: 'UDP', container: 7001, hostIp: '', host: 41_001 }];
	const pod = { name: 'web-0', ports, award: { slot: 2, gen: 3 }, bundle: { bundle: {} } } as unknown as HostedPod;
	const host = { machineId: 'm', machineName: 'a' } as unknown as HostFacts;
	const of = (place: { bind: string; advertise?: string }, isIsolated: boolean) =>
		contextOf(pod, host, place, { isIsolated, incarnation: 1 });

	it('is who it is, and its host', () => {
		expect(of({ bind: '10.0.0.1' }, false)).to.include({ machineName: 'a', slot: 2, gen: 3, incarnation: 1 });
	});

	it('listens on the host’s address, and everywhere in a network of its own', () => {
		expect(of({ bind: '10.0.0.1' }, false).listen).to.deep.equal(['/ip4/10.0.0.1/udp/7001/quic-v1']);
		expect(of({ bind: '10.0.0.1' }, true).listen).to.deep.equal(['/ip4/0.0.0.0/udp/7001/quic-v1']);
		expect(of({ bind: 'fd00::1' }, false).listen).to.deep.equal(['/ip6/fd00::1/udp/7001/quic-v1']);
	});

	it('announces what others reach: not where it listens anyway, and no loopback from a network of its own', () => {
		const published = ['/ip4/203.0.113.9/udp/41001/quic-v1'];
		expect(of({ bind: '10.0.0.1', advertise: '203.0.113.9' }, false).announce).to.deep.equal(published);
		expect(of({ bind: '10.0.0.1', advertise: '203.0.113.9' }, true).announce).to.deep.equal(published);
		expect(of({ bind: '10.0.0.1' }, true).announce).to.deep.equal(['/ip4/10.0.0.1/udp/41001/quic-v1']);
		expect(of({ bind: '10.0.0.1' }, false).announce).to.deep.equal([]);
		expect(of({ bind: '127.0.0.1' }, true).announce).to.deep.equal([]);
	});

	it('finds its socket and its keys where its file system has them', () => {
		const folders = { socket: '/run/pods/p', private: '/var/private/p' };
		expect(environmentOf(pod, folders, { isContained: false, listenIp: '127.0.0.1' })).to.include({
			BEEMESH_SOCKET: '/run/pods/p/pod.sock',
			BEEMESH_PRIVATE_DIR: '/var/private/p',
			BEEMESH_BIND: '127.0.0.1',
			BEEMESH_POD: 'web-0',
		});
		expect(environmentOf(pod, folders, { isContained: true, listenIp: '0.0.0.0' })).to.include({
			BEEMESH_SOCKET: '/run/beemesh/pod.sock',
			BEEMESH_PRIVATE_DIR: '/run/beemesh-private',
		});
	});
});
