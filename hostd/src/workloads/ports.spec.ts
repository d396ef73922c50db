import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { FreePorts, portEnvironment, publishPorts } from './ports.ts';

const LOOPBACK = '127.0.0.1';
const CAPABILITIES = { isolatesNetwork: true, enforcesCpuLimit: true, enforcesMemoryLimit: true, images: true };

describe('ports of pods', () => {
	it('are never given out twice in a row, and lie below those of outgoing connections', async () => {
		const free = new FreePorts(LOOPBACK, 'host-a');
		const taken = await Promise.all(Array.from({ length: 50 }, () => free.take('tcp')));
		expect(new Set(taken)).to.have.length(50);
		for (const port of taken) expect(port).to.be.within(20_000, 32_767);
	});

	it('start elsewhere on each host of a machine', async () => {
		const first = await new FreePorts(LOOPBACK, 'host-a').take('udp');
		const other = await new FreePorts(LOOPBACK, 'host-b').take('udp');
		expect(Math.abs(first - other)).to.be.greaterThan(100);
	});

	it('skip what somebody listens on', async () => {
		const port = await new FreePorts(LOOPBACK, 'host-a').take('tcp');
		const server = createServer().listen(port, LOOPBACK);
		await once(server, 'listening');
		expect(await new FreePorts(LOOPBACK, 'host-a').take('tcp')).to.be.greaterThan(port);
		server.close();
		await once(server, 'close');
	});

	it('say it when the address is not of this machine', async () => {
		const error = await new FreePorts('192.0.2.1', 'host-a').take('tcp').catch((e: unknown) => e);
		expect(error).to.include({ code: 'unavailable' });
	});

	it('are mapped where a pod has a network of its own, and told to the app where not', async () => {
		const containers = [{ name: 'web', image: 'web:1', ports: [{ name: 'http-api', containerPort: 8080 }] }];
		const publish = (isolatesNetwork: boolean) =>
			publishPorts(containers as never, LOOPBACK, new FreePorts(LOOPBACK, 'a'), { ...CAPABILITIES, isolatesNetwork });
		const [, mapped] = await publish(true);
		expect(mapped).to.include({ name: 'http-api', container: 8080 });
		const plain = await publish(false);
		expect(plain[1]?.host).to.equal(plain[1]?.container);
		expect(portEnvironment(plain)).to.deep.equal({ BEEMESH_PORT_HTTP_API: String(plain[1]?.host) });
	});
});
