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

describe('host policy', () => {
	const security = (securityContext: Container['securityContext']) =>
		deployment({ containers: [container, { ...container, name: 'second', securityContext: securityContext ?? {} }] });

	for (const [what, manifest, field] of [
		['host network', deployment({ hostNetwork: true }), 'spec.template.spec.hostNetwork'],
		['host processes', deployment({ hostPID: true }), 'spec.template.spec.hostPID'],
		['host IPC', deployment({ hostIPC: true }), 'spec.template.spec.hostIPC'],
		[
			'a host folder',
			deployment({ volumes: [{ name: 'x', hostPath: { path: '/' } }] as unknown as PodSpec['volumes'] & object }),
			'spec.template.spec.volumes[0].hostPath',
		],
		['privilege', security({ privileged: true }), 'spec.template.spec.containers[1].securityContext.privileged'],
		[
			'added capabilities',
			security({ capabilities: { add: ['SYS_ADMIN'] } }),
			'spec.template.spec.containers[1].securityContext.capabilities.add[0]',
		],
		[
			'no system call filter',
			security({ seccompProfile: { type: 'Unconfined' } }),
			'spec.template.spec.containers[1].securityContext.seccompProfile.type',
		],
		[
			'a mount outside',
			deployment({ containers: [{ ...container, volumeMounts: [{ name: 'x', mountPath: '/a/../..' }] }] }),
			'spec.template.spec.containers[0].volumeMounts[0].mountPath',
		],
		[
			'engine annotations',
			deployment({}, { 'io.podman.annotations.privileged': 'true' }),
			"spec.template.metadata.annotations['io.podman.annotations.privileged']",
		],
		[
			'privilege of an init container',
			deployment({ initContainers: [{ ...container, securityContext: { privileged: true } }] }),
			'spec.template.spec.initContainers[0].securityContext.privileged',
		],
	] as const) {
		it(`refuses ${what} and names the field`, () => {
			expect(refusal(() => buildPod(manifest, 0, 0)))
				.to.match(/^[^:]+: refused by this host's policy/)
				.and.include(field);
		});
	}

	it('lets through what only takes rights away', () => {
		buildPod(security({ privileged: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } }), 0, 0);
	});
});
