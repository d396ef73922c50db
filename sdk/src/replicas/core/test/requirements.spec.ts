import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { StatefulSet } from '../../../wire/index.ts';
import { parseCpuMillis, parseQuantity } from '../quantity.ts';
import { requirementsOf } from '../requirements.ts';

describe('quantities (Kubernetes resource.Quantity)', () => {
	const cases: readonly (readonly [string, number])[] = [
		['0', 0],
		['1', 1],
		['1.5', 2],
		['.5', 1],
		['128Mi', 134217728],
		['1.5Gi', 1610612736],
		['2k', 2000],
		['2M', 2e6],
		['1e3', 1000],
		['12E-1', 2],
		['1500m', 2],
		['1Ki', 1024],
		['+3', 3],
	];
	for (const [text, value] of cases)
		it(`reads ${text} as ${value}`, () => expect(parseQuantity(text, 'f')).to.equal(value));

	it('reads cores as thousandths, exactly', () => {
		expect(parseCpuMillis('1.1', 'f')).to.equal(1100);
		expect(parseCpuMillis('250m', 'f')).to.equal(250);
		expect(parseCpuMillis('0.0001', 'f')).to.equal(1);
	});

	for (const text of ['', 'abc', '-1', '1 Gi', '1gi', '1KiB', 'Infinity', '1e999', '9E', '1e60', '0x10', '1.2.3'])
		it(`refuses '${text}' and names the field`, () => {
			expect(() => parseQuantity(text, 'spec.x')).to.throw(/^spec\.x: /);
		});
});

describe('requirements of a manifest', () => {
	const manifest = (extra: Partial<StatefulSet['spec']['template']['spec']> = {}): StatefulSet => ({
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: { name: 'kv', namespace: 'default' },
		spec: {
			selector: { matchLabels: {} },
			template: {
				spec: {
					containers: [
						{
							name: 'a',
							image: 'i',
							resources: { requests: { cpu: '100m', memory: '64Mi' } },
							ports: [{ containerPort: 1, hostPort: 80 }],
						},
						{ name: 'b', image: 'i', resources: { limits: { cpu: '200m', memory: '1Mi' } } },
					],
					...extra,
				},
			},
			volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { resources: { requests: { storage: '1Gi' } } } }],
		},
	});

	it('sums containers, counts a limit as a request, adds volumes', () => {
		expect(requirementsOf(manifest())).to.deep.equal({
			resources: { cpuMillis: 300, memoryBytes: 65 * 2 ** 20, diskBytes: 2 ** 30 },
			nodeSelector: {},
			hostPorts: [{ port: 80, protocol: 'TCP' }],
			images: ['i'],
		});
	});

	it('takes the largest init container, not the sum', () => {
		const init = (cpu: string) => ({ name: cpu, image: 'j', resources: { requests: { cpu } } });
		const found = requirementsOf(
			manifest({ initContainers: [init('1'), init('500m')], nodeSelector: { disk: 'ssd' } }),
		);
		expect(found.resources.cpuMillis).to.equal(1000);
		expect(found.images).to.deep.equal(['i', 'j']);
		expect(found.nodeSelector).to.deep.equal({ disk: 'ssd' });
	});

	it('names the field of a bad quantity', () => {
		const bad = manifest({ containers: [{ name: 'a', image: 'i', resources: { requests: { memory: 'lots' } } }] });
		expect(() => requirementsOf(bad)).to.throw('spec.template.spec.containers[0].resources.requests.memory');
	});
});
