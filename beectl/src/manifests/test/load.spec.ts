import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Loaded, loadManifests } from '../index.ts';

const KV = `
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: kv
spec:
  replicas: 3
  serviceName: kv
  selector: {matchLabels: {app: kv}}
  template:
    metadata: {labels: {app: kv}}
    spec:
      containers:
        - name: kv
          image: example/kv:1
          ports: [{name: http, containerPort: 8080}]
          volumeMounts: [{name: data, mountPath: /data}]
          resources: {requests: {cpu: 0.5, memory: 64Mi}}
          readinessProbe: {httpGet: {path: /healthz, port: http}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`;

const load = (text: string, namespace?: string): Loaded => loadManifests([{ name: 'kv.yaml', text }], namespace);
/** The one error of KV with one thing changed, without its place. */
function errorOf(from: string, to: string): string {
	expect(KV, 'the change must change something').to.contain(from);
	const { errors } = load(KV.replace(from, to));
	expect(errors, errors.join('\n')).to.have.length(1);
	return (errors[0] ?? '').replace('kv.yaml: document 1 (StatefulSet/kv): ', '');
}

describe('manifests that are served', () => {
	it('come out typed, with the namespace filled in and quantities as text', () => {
		const { workloads, errors, warnings } = load(KV);
		expect(errors).to.deep.equal([]);
		expect(warnings).to.deep.equal([]);
		const [kv] = workloads;
		expect(kv?.manifest.metadata).to.deep.equal({ name: 'kv', namespace: 'default' });
		expect(kv?.replicas).to.equal(3);
		expect(kv?.manifest.spec.template.spec.containers[0]?.resources?.requests).to.deep.equal({
			cpu: '0.5',
			memory: '64Mi',
		});
	});

	it('take the namespace of the command line where they name none, and contradict it otherwise', () => {
		expect(load(KV, 'prod').workloads[0]?.manifest.metadata.namespace).to.equal('prod');
		const other = load(KV.replace('name: kv', 'name: kv\n  namespace: test'), 'prod');
		expect(other.errors[0]).to.contain('metadata.namespace: is "test", but -n says "prod"');
	});

	it('leave the count open when they say none', () => {
		expect(load(KV.replace('  replicas: 3\n', '')).workloads[0]?.replicas).to.equal(undefined);
	});

	it('treat null as absent', () => {
		const { errors, workloads } = load(KV.replace('serviceName: kv', 'serviceName: null\n  podManagementPolicy:'));
		expect(errors).to.deep.equal([]);
		expect(workloads[0]?.manifest.spec).not.to.have.property('serviceName');
	});

	it('write the security context of the pod into its containers', () => {
		const text = KV.replace('      containers:', '      securityContext: {runAsUser: 1000}\n      containers:');
		const { containers } = load(text).workloads[0]?.manifest.spec.template.spec ?? {};
		expect(containers?.[0]?.securityContext).to.deep.equal({ runAsUser: 1000 });
	});

	it('carry to the hosts what is for the policy of each to allow', () => {
		const asked =
			'      hostNetwork: true\n      volumes: [{name: h, hostPath: {path: /srv/media}}]\n      containers:';
		const text = KV.replace('      containers:', asked).replace(
			'image: example/kv:1',
			'image: x\n          securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}',
		);
		const { errors, workloads } = load(text);
		expect(errors).to.deep.equal([]);
		const spec = workloads[0]?.manifest.spec.template.spec;
		expect(spec?.hostNetwork).to.equal(true);
		expect(spec?.volumes).to.deep.equal([{ name: 'h', hostPath: { path: '/srv/media' } }]);
		expect(spec?.containers[0]?.securityContext).to.deep.equal({
			privileged: true,
			capabilities: { add: ['NET_ADMIN'] },
		});
	});

	it('warn of what is harmless and not done, and leave it out', () => {
		const { workloads, warnings } = load(
			KV.replace('      containers:', '      serviceAccountName: me\n      containers:'),
		);
		expect(warnings).to.have.length(1);
		expect(warnings[0]).to.match(
			/^kv\.yaml: document 1 \(StatefulSet\/kv\): spec\.template\.spec\.serviceAccountName: ignored: /,
		);
		expect(workloads[0]?.manifest.spec.template.spec).not.to.have.property('serviceAccountName');
	});

	it('leave nothing behind of wishes for a place', () => {
		const affinity = 'affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}';
		const spread = 'topologySpreadConstraints: [{whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]';
		const text = KV.replace('      containers:', `      ${affinity}\n      ${spread}\n      containers:`);
		const { errors, warnings, workloads } = load(text);
		expect([errors.length, warnings.length]).to.deep.equal([0, 2]);
		const spec = workloads[0]?.manifest.spec.template.spec;
		expect(spec).to.be.an('object');
		expect(spec).not.to.have.any.keys('affinity', 'topologySpreadConstraints');
	});
});

describe('manifests that are refused', () => {
	it('name an unknown field by its path, and the field that was meant', () => {
		expect(errorOf('image: example/kv:1', 'image: example/kv:1\n          imagee: x')).to.equal(
			'strict decoding error: unknown field "spec.template.spec.containers[0].imagee"; did you mean "image"?',
		);
		expect(errorOf('replicas: 3', 'replicas: 3\n  flavour: sweet')).to.equal(
			'strict decoding error: unknown field "spec.flavour"',
		);
	});

	it('name the field and the reason', () => {
		const cases: readonly (readonly [from: string, to: string, error: string | RegExp])[] = [
			['          image: example/kv:1\n', '', 'spec.template.spec.containers[0].image: required'],
			['image: example/kv:1', 'image: ""', 'spec.template.spec.containers[0].image: must not be empty'],
			['replicas: 3', 'replicas: -1', 'spec.replicas: must be an integer from 0 to 1024'],
			['replicas: 3', 'replicas: 1e999', /spec\.replicas: must be an integer/],
			['replicas: 3', 'replicas: "3"', 'spec.replicas: must be an integer, not "3"'],
			['memory: 64Mi', 'memory: lots', /containers\[0\]\.resources\.requests\.memory: 'lots' is not a quantity/],
			['memory: 64Mi', 'memory: -1', /requests\.memory: '-1' is not a quantity/],
			['memory: 64Mi', 'nvidia.com/gpu: 1', /requests\[nvidia\.com\/gpu\]: no host offers this resource/],
			['{labels: {app: kv}}', '{labels: {app: kw}}', /^spec\.selector: does not match the template's labels: app=kv/],
			['metadata:\n  name: kv', 'metadata:\n  name: Kv', /: metadata\.name: must consist of lower-case letters/],
			[
				'containerPort: 8080',
				'containerPort: 80800',
				'spec.template.spec.containers[0].ports[0].containerPort: must be an integer from 1 to 65535',
			],
			[
				'port: http}',
				'port: web}',
				'spec.template.spec.containers[0].readinessProbe.httpGet.port: there is no container port "web"',
			],
			[
				'{httpGet: {path: /healthz, port: http}}',
				'{grpc: {port: 1}}',
				/readinessProbe\.grpc: gRPC probes are not served/,
			],
			[
				'{httpGet: {path: /healthz, port: http}}',
				'{periodSeconds: 1}',
				/readinessProbe: must have one of httpGet, tcpSocket or exec, not none/,
			],
			[
				'name: data, mountPath',
				'name: date, mountPath',
				'spec.template.spec.containers[0].volumeMounts[0].name: there is no volume "date"',
			],
			['mountPath: /data', 'mountPath: /data/../etc', /mountPath: must not contain/],
			[
				'image: example/kv:1',
				'image: example/kv:1\n          env: [{name: A, value: 5}]',
				/env\[0\]\.value: must be a string, not 5 \(put it in quotes\)/,
			],
			[
				'image: example/kv:1',
				'image: x\n          envFrom: [{secretRef: {name: s}}]',
				/containers\[0\]\.envFrom: Secrets and ConfigMaps are not served/,
			],
			[
				'image: example/kv:1',
				'image: x\n          env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]',
				/env\[0\]\.valueFrom\.secretKeyRef: /,
			],
			['      containers:', '      hostPID: true\n      containers:', /spec\.template\.spec\.hostPID: no host/],
			[
				'      containers:',
				'      volumes: [{name: h, hostPath: {path: /srv, type: DirectoryOrCreate}}]\n      containers:',
				/volumes\[0\]\.hostPath\.type: must be one of/,
			],
			[
				'      containers:',
				'      volumes: [{name: h, nfs: {server: s, path: /}}]\n      containers:',
				/volumes\[0\]\.nfs: only emptyDir/,
			],
			[
				'apiVersion: apps/v1',
				'apiVersion: apps/v1beta1',
				'apiVersion: "apps/v1beta1" of StatefulSet is not served; use apps/v1',
			],
		];
		for (const [from, to, error] of cases) {
			if (typeof error === 'string') expect(errorOf(from, to)).to.equal(error);
			else expect(errorOf(from, to)).to.match(error);
		}
	});

	it('tell all errors of all documents at once', () => {
		const bad = KV.replace('replicas: 3', 'replicas: -1').replace('image: example/kv:1', 'imagee: example/kv:1');
		const { errors } = loadManifests([
			{ name: 'a.yaml', text: `${KV}---\n${bad}` },
			{ name: 'b.yaml', text: 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n' },
		]);
		expect(errors).to.have.length(4);
		expect(errors.slice(0, 3).every((error) => error.startsWith('a.yaml: document 2 (StatefulSet/kv): '))).to.equal(
			true,
		);
		expect(errors[3]).to.equal(
			'b.yaml: document 1 (ConfigMap/c): kind: ConfigMap is not served by this version; write its values into the pod template',
		);
	});

	it('do not hold the same workload twice', () => {
		expect(load(`${KV}---${KV}`).errors).to.deep.equal([
			'kv.yaml: document 2 (StatefulSet/kv): metadata.name: the same workload is already in kv.yaml: document 1',
		]);
	});
});

describe('other kinds', () => {
	const service = (spec: string) => load(`apiVersion: v1\nkind: Service\nmetadata: {name: kv}\nspec: ${spec}\n`);

	it('pass with a warning when they change nothing: Namespaces and Services inside the mesh', () => {
		for (const spec of ['{clusterIP: None}', '{ports: [{port: 80}]}', '{type: ClusterIP}']) {
			expect(service(spec).errors).to.deep.equal([]);
			expect(service(spec).warnings[0]).to.contain('callers find the workload by its own name');
		}
		expect(load('apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n').warnings).to.have.length(1);
	});

	it('are refused by name when they would have to do something', () => {
		expect(service('{type: LoadBalancer}').errors[0]).to.contain('spec.type: "LoadBalancer" is not served');
		expect(load('apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n').errors[0]).to.contain(
			'kind: Job is not served by this version',
		);
		expect(load('apiVersion: v1\nkind: Potato\n').errors[0]).to.contain('"Potato" in version "v1" is not known');
		expect(load('kind: Deployment\n').errors[0]).to.contain('apiVersion: required');
		expect(load('[1, 2]').errors[0]).to.contain('must be an object');
	});
});
