import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Container, StatefulSet } from '../../wire/index.ts';
import { parseQuantity } from './quantity.ts';
import { requirementsOf } from './requirements.ts';

const workload = (containers: readonly Container[], initContainers: readonly Container[] = []): StatefulSet => ({
	apiVersion: 'apps/v1',
	kind: 'StatefulSet',
	metadata: { name: 'kv', namespace: 'default' },
	spec: {
		selector: { matchLabels: { app: 'kv' } },
		template: { metadata: { labels: { app: 'kv' } }, spec: { containers, initContainers, nodeSelector: { disk: 'ssd' } } },
		volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { resources: { requests: { storage: '1Gi' } } } }],
	},
});

describe('quantities', () => {
	it('are numbers with decimal, binary and exponent suffixes', () => {
		const cases = { '500m': 0.5, '2': 2, '64Mi': 67108864, '1.5Gi': 1610612736, '1e3': 1000, '.5': 0.5, '12E': 12e18, '3k': 3000 };
		for (const [text, value] of Object.entries(cases)) expect(parseQuantity(text), text).to.equal(value);
	});

	it('are nothing else', () => {
		for (const text of ['', 'lots', '1 Gi', '1GB', '0x10', '1e9999', 'Mi', '1mm']) expect(parseQuantity(text), text).to.equal(undefined);
	});
});

describe('requirements of a replica', () => {
	it('add up what containers request; a limit without a request counts as one', () => {
		const { resources } = requirementsOf(
			workload([
				{ name: 'a', image: 'a', resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { cpu: '2' } } },
				{ name: 'b', image: 'b', resources: { limits: { cpu: '0.1', memory: '1Mi' } } },
			]),
		);
		expect(resources).to.deep.equal({ cpuMillis: 350, memoryBytes: 65 * 2 ** 20, diskBytes: 2 ** 30 });
	});

	it('take the largest init container where that is more than the containers together', () => {
		const { resources } = requirementsOf(
			workload([{ name: 'a', image: 'a', resources: { requests: { cpu: '1' } } }], [{ name: 'i', image: 'i', resources: { requests: { cpu: '3' } } }]),
		);
		expect(resources.cpuMillis).to.equal(3000);
	});

	it('name host ports, labels and images', () => {
		const found = requirementsOf(workload([{ name: 'a', image: 'a:1', ports: [{ containerPort: 80, hostPort: 8080 }, { containerPort: 81 }] }]));
		expect(found.hostPorts).to.deep.equal([{ port: 8080, protocol: 'TCP' }]);
		expect(found.nodeSelector).to.deep.equal({ disk: 'ssd' });
		expect(found.images).to.deep.equal(['a:1']);
	});

	it('refuse what is no quantity, and name the field', () => {
		expect(() => requirementsOf(workload([{ name: 'a', image: 'a', resources: { requests: { cpu: 'lots' } } }]))).to.throw(
			'spec.template.spec.containers[0].resources.requests.cpu',
		);
	});
});
