/** The policy on its own: what it refuses of a workload and why, and what an operator can allow. */
import { isMeshError } from '@beemesh/sdk/errors';
import type { Deployment, OwnerId, Pod } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { parsePolicy } from '../allowances.ts';
import { HostPolicy } from '../index.ts';
import { overlay, REFUSED_PODS, type RefusedPod } from './refused-pods.ts';

const OWNER = 'bafyreiabcdefghijklmnopqrstuvwxyz234567' as OwnerId;
const OTHER = 'bafyreizyxwvutsrqponmlkjihgfedcba765432' as OwnerId;
const DIGEST = `sha256:${'a'.repeat(64)}`;

type Asks = Pick<RefusedPod, 'metadata' | 'spec' | 'container'>;

const asking = ({ container, spec }: Asks): Pod['spec'] =>
	overlay(
		{ containers: [overlay({ name: 'main', image: 'localhost/app:1' }, container)] },
		spec,
	) as unknown as Pod['spec'];

function workload(asks: Asks): Deployment {
	return {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'shop' },
		spec: {
			selector: { matchLabels: {} },
			template: { metadata: overlay({}, asks.metadata), spec: asking(asks) },
		},
	};
}

function refusal(action: () => unknown): string {
	try {
		action();
	} catch (error) {
		if (isMeshError(error, 'invalid_input')) return error.message;
		throw error;
	}
	throw new Error('expected a refusal');
}

const policyOf = (content: unknown) => new HostPolicy({ content: parsePolicy(JSON.stringify(content), 'policy.json') });
const privileged: Asks = { container: { securityContext: { privileged: true } } };

describe('host policy', () => {
	describe('refuses by default', () => {
		for (const row of REFUSED_PODS) {
			it(`${row.what}, naming the field in the workload`, () => {
				const message = refusal(() => new HostPolicy().check(workload(row), { owner: OWNER }));
				expect(message.split(": refused by this host's policy: ")[0]).to.equal(`spec.template.${row.field}`);
				if (row.key !== undefined) expect(message).to.include(`with "${row.key}": `).and.to.include('hostd --policy');
			});
		}

		for (const [what, manifest] of [
			['no template', { spec: {} }],
			['no spec', {}],
			['nothing', undefined],
		] as const) {
			it(`a workload that has ${what}`, () => {
				expect(refusal(() => new HostPolicy().check(manifest as unknown as Deployment, {}))).to.match(
					/^spec\.template: /,
				);
			});
		}
	});

	it('says how a field is spelled', () => {
		const message = refusal(() => new HostPolicy().check(workload({ spec: { hostnetwork: true } }), {}));
		expect(message).to.include('it is spelled hostNetwork');
	});

	it('lets through what only takes rights away, and what Kubernetes’ baseline leaves to pods', async () => {
		const securityContext = {
			privileged: false,
			allowPrivilegeEscalation: true,
			runAsUser: 0,
			runAsNonRoot: false,
			readOnlyRootFilesystem: true,
			capabilities: { drop: ['ALL'], add: [] },
			seccompProfile: { type: 'RuntimeDefault' },
			procMount: 'Default',
		};
		const asks: Asks = {
			metadata: { annotations: { 'example.com/anything': 'io.podman.annotations.privileged' }, labels: { a: 'b' } },
			spec: {
				hostNetwork: false,
				hostPID: false,
				securityContext: { runAsUser: 1000, fsGroup: 1000, sysctls: [] },
				volumes: [
					{ name: 'a', emptyDir: { sizeLimit: '1Gi' } },
					{ name: 'b', persistentVolumeClaim: { claimName: 'c' } },
				],
			},
			container: {
				securityContext,
				ports: [{ name: 'http', containerPort: 80, hostPort: 8080, protocol: 'TCP' }],
				volumeMounts: [{ name: 'a', mountPath: '/dev/shm', readOnly: true }],
				resources: { requests: { cpu: '1' }, limits: { memory: '1Gi', 'ephemeral-storage': '1Gi' } },
				readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
				livenessProbe: { exec: { command: ['true'] } },
				env: [
					{ name: 'A', value: '1' },
					{ name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
				],
			},
		};
		new HostPolicy().check(workload(asks), {});
	});

	it('hands on what it knows and nothing else, made anew', async () => {
		const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'b' }, spec: asking({}) };
		const admitted = await new HostPolicy().admit(pod, {});
		expect(admitted).to.deep.equal(pod);
		expect(admitted.spec.containers[0]).not.to.equal(pod.spec.containers[0]);
	});

	describe('with a policy file', () => {
		const allowed: readonly (readonly [what: string, content: unknown, asks: Asks])[] = [
			['privilege', { privileged: true }, privileged],
			['the network of the host', { hostNetwork: true }, { spec: { hostNetwork: true } }],
			[
				'capabilities, however they are spelled',
				{ capabilities: ['NET_ADMIN', 'SYS_TIME'] },
				{ container: { securityContext: { capabilities: { add: ['CAP_NET_ADMIN', 'sys_time'] } } } },
			],
			[
				'ports of a range',
				{ hostPorts: [{ from: 80, to: 443 }] },
				{
					container: {
						ports: [
							{ containerPort: 1, hostPort: 80 },
							{ containerPort: 2, hostPort: 443 },
						],
					},
				},
			],
			[
				'a writable folder',
				{ hostPaths: [{ path: '/srv/data' }] },
				{
					spec: { volumes: [{ name: 'v', hostPath: { path: '/srv/data' } }] },
					container: { volumeMounts: [{ name: 'v', mountPath: '/data' }] },
				},
			],
			[
				'what is below a read-only folder',
				{ hostPaths: [{ path: '/srv/media', readOnly: true }] },
				{
					spec: { volumes: [{ name: 'v', hostPath: { path: '/srv/media/films', type: 'Directory' } }] },
					container: { volumeMounts: [{ name: 'v', mountPath: '/data', readOnly: true }] },
				},
			],
			[
				'a device',
				{ devices: ['/dev/kvm'] },
				{ spec: { volumes: [{ name: 'v', hostPath: { path: '/dev/kvm', type: 'CharDevice' } }] } },
			],
		];
		for (const [what, content, asks] of allowed) {
			it(`allows ${what}: to its owner, or to all`, () => {
				policyOf({ owners: { [OWNER]: content } }).check(workload(asks), { owner: OWNER });
				policyOf({ default: content }).check(workload(asks), { owner: OTHER });
				policyOf({ default: content }).check(workload(asks), {});
				refusal(() => policyOf({ owners: { [OWNER]: content } }).check(workload(asks), { owner: OTHER }));
				refusal(() => policyOf({ owners: { [OWNER]: content } }).check(workload(asks), {}));
			});
		}

		const volumes = (path: string) => [{ name: 'v', hostPath: { path } }];
		const mounted = { volumeMounts: [{ name: 'v', mountPath: '/data' }] };
		const refused: readonly (readonly [what: string, content: unknown, asks: Asks, field: string])[] = [
			[
				'a capability beside those allowed',
				{ capabilities: ['NET_ADMIN'] },
				{ container: { securityContext: { capabilities: { add: ['NET_ADMIN', 'SYS_ADMIN'] } } } },
				'containers[0].securityContext.capabilities.add[1]',
			],
			[
				'a port beside the range',
				{ hostPorts: [{ from: 80, to: 80 }] },
				{ container: { ports: [{ containerPort: 1, hostPort: 81 }] } },
				'containers[0].ports[0].hostPort',
			],
			[
				'a folder beside the one allowed, with the same beginning',
				{ hostPaths: [{ path: '/srv/media', readOnly: true }] },
				{ spec: { volumes: volumes('/srv/media-private') } },
				'volumes[0].hostPath',
			],
			[
				'the folder above',
				{ hostPaths: [{ path: '/srv/media', readOnly: true }] },
				{ spec: { volumes: volumes('/srv') } },
				'volumes[0].hostPath',
			],
			[
				'what is below a writable folder',
				{ hostPaths: [{ path: '/srv/data' }] },
				{ spec: { volumes: volumes('/srv/data/below') } },
				'volumes[0].hostPath',
			],
			[
				'writing to a read-only folder',
				{ hostPaths: [{ path: '/srv/media', readOnly: true }] },
				{ spec: { volumes: volumes('/srv/media') }, container: mounted },
				'containers[0].volumeMounts[0].readOnly',
			],
			[
				'writing to it from an init container',
				{ hostPaths: [{ path: '/srv/media', readOnly: true }] },
				{ spec: { volumes: volumes('/srv/media'), initContainers: [{ name: 'i', image: 'x', ...mounted }] } },
				'initContainers[0].volumeMounts[0].readOnly',
			],
			[
				'a device as a folder',
				{ devices: ['/dev/kvm'] },
				{ spec: { volumes: volumes('/dev/kvm') } },
				'volumes[0].hostPath',
			],
			[
				'a folder as a device',
				{ hostPaths: [{ path: '/srv/x' }] },
				{ spec: { volumes: [{ name: 'v', hostPath: { path: '/srv/x', type: 'CharDevice' } }] } },
				'volumes[0].hostPath',
			],
			['what no file can allow', { privileged: true }, { spec: { hostPID: true } }, 'hostPID'],
		];
		for (const [what, content, asks, field] of refused) {
			it(`still refuses ${what}`, () => {
				const message = refusal(() => policyOf({ default: content }).check(workload(asks), { owner: OWNER }));
				expect(message.split(': refused')[0]).to.equal(`spec.template.spec.${field}`);
			});
		}
	});

	describe('where the charter names digests', () => {
		const run = (image: string) => () =>
			new HostPolicy().check(workload({ container: { image } }), { imageDigests: [DIGEST] });

		it('runs the images that they pin', run(`localhost/app@${DIGEST}`));
		for (const [what, image] of [
			['a tag', 'localhost/app:1'],
			['no tag', 'localhost/app'],
			['another digest', `localhost/app@sha256:${'b'.repeat(64)}`],
		] as const) {
			it(`refuses an image by ${what}`, () => {
				expect(refusal(run(image))).to.match(/^spec\.template\.spec\.containers\[0\]\.image: refused/);
			});
		}
		it('names none when its list is empty', () => {
			new HostPolicy().check(workload({}), { imageDigests: [] });
		});
	});
});
