import { isMeshError } from '@beemesh/sdk/errors';
import type { Container, Deployment, PodSpec, StatefulSet } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { buildPod } from '../build-pod.ts';

const container: Container = { name: 'main', image: 'localhost/app:1' };

function deployment(spec: Partial<PodSpec> & Record<string, unknown> = {}, annotations = {}): Deployment {
	return {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'shop' },
		spec: {
			selector: { matchLabels: { app: 'web' } },
			template: { metadata: { labels: { app: 'web' }, annotations }, spec: { containers: [container], ...spec } },
		},
	};
}

const statefulSet: StatefulSet = {
	apiVersion: 'apps/v1',
	kind: 'StatefulSet',
	metadata: { name: 'kv', namespace: 'default' },
	spec: {
		selector: { matchLabels: { app: 'kv' } },
		template: {
			spec: {
				containers: [{ ...container, volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
				volumes: [
					{ name: 'data', emptyDir: {} },
					{ name: 'cache', emptyDir: {} },
				],
			},
		},
		volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { resources: { requests: { storage: '1Gi' } } } }],
	},
};

function refusal(action: () => unknown): string {
	try {
		action();
	} catch (error) {
		if (isMeshError(error, 'invalid_input')) return error.message;
		throw error;
	}
	throw new Error('expected a refusal');
}

describe('the pod of one slot', () => {
	it('of a Deployment is named after slot and generation', () => {
		const pod = buildPod(deployment(), 1, 4);
		expect(pod.metadata).to.deep.include({ name: 'web-1-g4', namespace: 'shop', labels: { app: 'web' } });
		expect(pod.spec.hostname).to.equal('web-1-g4');
		expect(pod.spec.restartPolicy).to.equal('Always');
		expect(pod.spec.containers).to.deep.equal([container]);
	});

	it('of a StatefulSet is named after its ordinal, whatever the generation, and has the volume of its claim', () => {
		const pod = buildPod(statefulSet, 2, 7);
		expect(pod.metadata.name).to.equal('kv-2');
		expect(pod.metadata.labels).to.include({ 'statefulset.kubernetes.io/pod-name': 'kv-2' });
		expect(pod.spec.volumes).to.deep.equal([
			{ name: 'cache', emptyDir: {} },
			{ name: 'data', persistentVolumeClaim: { claimName: 'data-kv-2' } },
		]);
	});

	it('has the downward API filled in', () => {
		const paths = ['metadata.name', 'metadata.namespace', "metadata.labels['app']", 'status.hostIP', 'status.podIP'];
		const env = paths.map((fieldPath, index) => ({ name: `V${index}`, valueFrom: { fieldRef: { fieldPath } } }));
		const pod = buildPod(deployment({ containers: [{ ...container, env }] }), 0, 0, { hostIp: '10.0.0.1' });
		expect(pod.spec.containers[0]?.env?.map(({ value }) => value)).to.deep.equal([
			'web-0-g0',
			'shop',
			'web',
			'10.0.0.1',
			'10.0.0.1',
		]);
	});

	it('keeps a dollar in a downward value from becoming a reference', () => {
		const fieldRef = { fieldPath: "metadata.annotations['price']" };
		const env = [{ name: 'PRICE', valueFrom: { fieldRef } }];
		const pod = buildPod(deployment({ containers: [{ ...container, env }] }, { price: '$(HOME)' }), 0, 0);
		expect(pod.spec.containers[0]?.env?.[0]?.value).to.equal('$$(HOME)');
	});

	it('refuses a field that is not known here, by its path', () => {
		const env = [{ name: 'X', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }];
		expect(refusal(() => buildPod(deployment({ containers: [{ ...container, env }] }), 0, 0)))
			.to.include('spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath')
			.and.to.include('spec.nodeName');
	});
});
