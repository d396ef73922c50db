import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPeerKey } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { parse } from 'yaml';
import { type Invoked, invoke } from './invoke.ts';
import { type ScriptedHost, startScriptedHost } from './scripted-host.ts';

const manifest = (kind: string, name: string, replicas: number, image = 'example/kv:1') => `
apiVersion: apps/v1
kind: ${kind}
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: main, image: "${image}"}]}
`;
const KV = manifest('StatefulSet', 'kv', 3);

describe('beectl against a host', () => {
	let folder: string;
	let host: ScriptedHost;
	const beectl = (args: string, stdin?: string): Promise<Invoked> =>
		invoke(args.split(' '), {
			...(stdin === undefined ? {} : { stdin }),
			env: { BEEMESH_HOST: host.socket, BEEMESH_OWNER: join(folder, 'owner.key'), HOME: folder },
		});
	const placed = () => host.bundles;

	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'beectl-'));
		host = await startScriptedHost(join(folder, 'run', 'host.sock'));
		expect((await beectl('owner create --no-passphrase')).code).to.equal(0);
	});
	afterEach(async () => {
		await host[Symbol.asyncDispose]();
		await rm(folder, { recursive: true });
	});

	describe('apply', () => {
		it('places every slot, admits what starts, and shows what happens', async () => {
			const { code, out, err } = await beectl('apply -f - --wait', KV);
			expect(err, err).to.match(/^note: first contact with the mesh "test" \(bafy.*\n1 host found: bee-1\n/);
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv created\n');
			expect(err).to.match(/statefulset\/kv: tender [0-9A-Z]{26} to 1 host \(root\)\n/);
			expect(err).to.contain('statefulset/kv: bid 0.750 from bee-1 for 3 slots\n');
			for (const state of [
				'awarded to bee-1',
				'starting on bee-1',
				'admitted',
				'deployed on bee-1',
				'ready, follower, on bee-1',
			]) {
				expect(err).to.contain(`statefulset/kv: slot 2 ${state}\n`);
			}
		});

		it('founds a StatefulSet with all its slots, and tells each replica of those before it', async () => {
			await beectl('apply -f -', KV);
			expect(host.admissions.map((answer) => answer.admitted && answer.foundingSlots)).to.deep.equal([3, 3, 3]);
			const members = host.admissions.map((answer) => (answer.admitted ? answer.members.map(({ slot }) => slot) : []));
			expect(members).to.deep.equal([[], [0], [0, 1]]);
			await beectl('apply -f -', manifest('Deployment', 'web', 2));
			expect(host.admissions.slice(3).map((answer) => answer.admitted && answer.foundingSlots)).to.deep.equal([0, 0]);
		});

		it('applies several workloads at once', async () => {
			const { code, out } = await beectl('apply -f - --wait', `${KV}---${manifest('Deployment', 'web', 2)}`);
			expect(code).to.equal(0);
			expect(out.split('\n').sort()).to.deep.equal(['', 'deployment.apps/web created', 'statefulset.apps/kv created']);
		});

		it('leaves alone what is as it should be', async () => {
			await beectl('apply -f -', KV);
			const { code, out } = await beectl('apply -f - --wait', KV);
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv unchanged\n');
			expect(host.charters).to.deep.equal([]);
		});

		it('gives replicas that run a newer charter: with the manifest when it changed, without when only the count did', async () => {
			await beectl('apply -f -', KV);
			const first = placed()[0]?.charter.body;
			expect((await beectl('apply -f - --wait', manifest('StatefulSet', 'kv', 5))).out).to.equal(
				'statefulset.apps/kv configured\n',
			);
			expect((await beectl('apply -f - --wait', manifest('StatefulSet', 'kv', 5, 'example/kv:2'))).code).to.equal(0);
			const [scaled, changed] = host.charters;
			expect(scaled?.replicas).to.equal(5);
			expect(scaled?.manifestCid).to.equal(first?.manifestCid);
			expect(changed?.manifestCid).not.to.equal(first?.manifestCid);
			expect(changed?.era).to.be.greaterThan(scaled?.era ?? 0);
			expect(scaled?.era).to.be.greaterThan(first?.era ?? 0);
			expect(host.placements).to.have.length(1);
		});

		it('places again what no longer runs, one generation later and under a newer era', async () => {
			await beectl('apply -f -', KV);
			const [view] = host.workloads.values();
			if (view === undefined) throw new Error('nothing was placed');
			view.pods = view.pods.map((pod) => ({ ...pod, phase: 'Failed', ready: false }));
			const { code, out } = await beectl('apply -f -', KV);
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv placed again\n');
			const [before, after] = placed();
			expect(after?.charter.body.era).to.be.greaterThan(before?.charter.body.era ?? 0);
			expect(after?.grant.body.tenderKey).not.to.deep.equal(before?.grant.body.tenderKey);
			expect([...host.workloads.values()][0]?.pods.map(({ gen }) => gen)).to.deep.equal([2, 2, 2]);
		});

		it('names the requirement that no host met', async () => {
			host.starveWith = 'memory: needs 900Gi, 20Gi free';
			const { code, out, err } = await beectl('apply -f - --wait', KV);
			expect(code).to.equal(1);
			expect(out).to.equal('');
			expect(err).to.contain(
				'error: statefulset.apps/kv: no host can run 3 replicas (1 host asked):\n  memory: needs 900Gi, 20Gi free (1 host)\n',
			);
		});

		it('says why no host took it when it has kept trying for long enough', async () => {
			host.starveWith = 'memory: needs 900Gi, 20Gi free';
			const { code, err } = await beectl('apply -f - --keep-trying --timeout 300ms', KV);
			expect(code).to.equal(4);
			expect(err).to.contain(
				'error: statefulset.apps/kv: timed out: no replica was admitted; apply again to start over\n' +
					'  no host can run 3 replicas (1 host asked):\n  memory: needs 900Gi, 20Gi free (1 host)\n',
			);
		});

		it('refuses no replicas at all before anything is sent, also in a dry run', async () => {
			const { code, err } = await beectl('apply -f - --dry-run', manifest('Deployment', 'web', 0));
			expect(code).to.equal(2);
			expect(err).to.match(/^error: stdin: document 1 \(Deployment\/web\): spec.replicas: 0: .*use `beectl delete`\n$/);
		});

		it('does not admit a request that is not about the award', async () => {
			host.forge = (csr) => ({ ...csr, slot: csr.slot + 1 });
			const { code, err } = await beectl('apply -f -', KV);
			expect(code).to.equal(1);
			expect(host.admissions).to.have.length(3);
			expect(host.admissions.every((answer) => !answer.admitted)).to.equal(true);
			expect(err).to.contain('slot 0 not admitted: the request is for another slot or generation');
			expect(err).to.contain('error: statefulset.apps/kv: 3 of 3 replicas not placed:\n');
		});

		it('gives up at the timeout and says what is not ready', async () => {
			host.podIsReady = false;
			const { code, err } = await beectl('apply -f - --wait --timeout 300ms', KV);
			expect(code).to.equal(4);
			expect(err).to.contain(
				'timed out; it goes on without us. 0 of 3 replicas ready\n  kv-0: CrashLoopBackOff, not ready, on bee-1',
			);
		});

		it('sends nothing when any manifest is wrong', async () => {
			const { code, err } = await beectl('apply -f -', `${KV}---${manifest('Deployment', 'web', -1)}`);
			expect(code).to.equal(2);
			expect(err).to.equal(
				'error: stdin: document 2 (Deployment/web): spec.replicas: must be an integer from 0 to 1024\n',
			);
			expect(host.placements).to.deep.equal([]);
		});

		it('only checks with --dry-run', async () => {
			const { code, out } = await beectl('apply -f - --dry-run', KV);
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv is valid (dry run)\n');
			expect(host.placements).to.deep.equal([]);
		});

		it('stops at Ctrl-C and says what goes on', async () => {
			host.podIsReady = false;
			const interrupt = new AbortController();
			const watching = invoke(['apply', '-f', '-', '--wait'], {
				stdin: KV,
				env: { BEEMESH_HOST: host.socket, BEEMESH_OWNER: join(folder, 'owner.key'), HOME: folder },
				signal: AbortSignal.any([interrupt.signal, aborted(() => host.admissions.length === 3)]),
			});
			const { code, err } = await watching;
			expect(code).to.equal(130);
			expect(err).to.match(/error: statefulset\.apps\/kv: interrupted/);
		});
	});

	describe('apply of replicas that do not come up at first', () => {
		beforeEach(() => {
			host.failFirst = 1;
		});

		it('is done when the others have healed them', async () => {
			const { code, out, err } = await beectl('apply -f - --wait', KV);
			expect(err).to.contain('statefulset/kv: slot 0 failed on bee-1: exited with 1\n');
			expect(out).to.equal('statefulset.apps/kv created\n');
			expect(code).to.equal(0);
		});

		it('fails without --wait, and says that the rest runs', async () => {
			const { code, err } = await beectl('apply -f -', KV);
			expect(code).to.equal(1);
			expect(err).to.contain(
				'1 of 3 replicas not placed:\n  slot 0: failed on bee-1: exited with 1\n  What runs goes on; see `beectl describe statefulset kv`\n',
			);
		});
	});

	describe('get and describe', () => {
		beforeEach(async () => {
			await beectl('apply -f -', `${KV}---${manifest('Deployment', 'web', 2)}`);
		});

		it('list pods in aligned columns', async () => {
			const { code, out } = await beectl('get pods kv-0 kv-1');
			expect(code).to.equal(0);
			expect(out.replace(/\d+s /g, '5s ')).to.equal(
				[
					'NAME   READY   STATUS    ROLE       RESTARTS   AGE   HOST',
					'kv-0   1/1     Running   leader     0          5s    bee-1',
					'kv-1   1/1     Running   follower   0          5s    bee-1',
					'',
				].join('\n'),
			);
		});

		it('list workloads and hosts, by short names too', async () => {
			expect((await beectl('get sts')).out).to.match(/^NAME +READY +AGE\nkv +3\/3 +\d+s\n$/);
			expect((await beectl('get deploy -A')).out).to.match(
				/^NAMESPACE +NAME +READY +UP-TO-DATE +AVAILABLE +AGE\ndefault +web +2\/2 +2 +2 +\d+s\n$/,
			);
			expect((await beectl('get hosts')).out).to.match(
				/^NAME .*\nbee-1 +Ready +process +0 +4\/4 +8Gi\/8Gi +100Gi\/100Gi +0\.1\.0\n$/,
			);
		});

		it('print data for programs', async () => {
			const { items } = JSON.parse((await beectl('get pods -o json')).out) as {
				items: { name: string; ready: boolean }[];
			};
			expect(items.map(({ name }) => name)).to.deep.equal(['kv-0', 'kv-1', 'kv-2', 'web-0', 'web-1']);
			const one = parse((await beectl('get sts kv -o yaml')).out) as { name: string; status: unknown };
			expect(one.name).to.equal('kv');
			expect(one.status).to.deep.equal({ replicas: 3, readyReplicas: 3, updatedReplicas: 3 });
			expect((await beectl('get deploy -o name')).out).to.equal('deployment/web\n');
		});

		it('end with 3 when a name is not there, and with a note when nothing is', async () => {
			const missing = await beectl('get pod nope');
			expect(missing.code).to.equal(3);
			expect(missing.err).to.equal('error: there is no pod "nope" in namespace default of this owner\n');
			const empty = await beectl('get pods -n other');
			expect(empty.code).to.equal(0);
			expect(empty.err).to.equal('no pods found in namespace other\n');
		});

		it('show nothing of another owner', async () => {
			const owner = join(folder, 'other.key');
			await beectl(`owner create --no-passphrase --owner ${owner}`);
			expect((await beectl(`get pods --owner ${owner}`)).err).to.equal('no pods found in namespace default\n');
		});

		it('say which hosts did not answer', async () => {
			host.silent = [createPeerKey().peerId as MachineId];
			expect((await beectl('get pods')).err).to.match(
				/^note: 1 host did not answer in time \(….{8}\); the list may be missing their pods\n$/,
			);
			const { hostsSilent } = JSON.parse((await beectl('get pods -o json')).out) as { hostsSilent: string[] };
			expect(hostsSilent).to.deep.equal(host.silent);
		});

		it('describe a pod, a workload and a host', async () => {
			expect((await beectl('describe pod kv-0')).out).to.match(
				/Status: +Running\n.*Endpoints: +http 127\.0\.0\.1:30000 → 8080\/tcp\n/s,
			);
			expect((await beectl('describe sts/kv')).out).to.match(
				/Replicas: +3 wanted, 3 there, 3 ready, 3 up to date\n.*Pods:\n {2}NAME .*kv-2.*Spec:\n {2}selector:/s,
			);
			expect((await beectl('describe host bee-1')).out).to.match(/Free: +4 cores, 8Gi memory, 100Gi disk\n/);
		});
	});

	describe('logs, scale and delete', () => {
		beforeEach(async () => {
			await beectl('apply -f -', KV);
		});

		it('print the lines of one pod, or of all pods of a workload under their names', async () => {
			expect((await beectl('logs kv-1 --timestamps')).out).to.equal(
				'1970-01-01T00:00:00.000Z pod-kv-1-g1 started\n1970-01-01T00:00:01.000Z careful\n',
			);
			const { out } = await beectl('logs sts/kv');
			expect(
				out
					.split('\n')
					.filter((line) => line.endsWith('started'))
					.sort(),
			).to.deep.equal(['[kv-0] pod-kv-0-g1 started', '[kv-1] pod-kv-1-g1 started', '[kv-2] pod-kv-2-g1 started']);
		});

		it('scale by charter, keeping the manifest', async () => {
			const { code, out } = await beectl('scale sts/kv --replicas=5 --wait');
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv scaled\n');
			expect(host.charters[0]?.replicas).to.equal(5);
			expect(host.charters[0]?.manifestCid).to.equal(placed()[0]?.charter.body.manifestCid);
			// The count of the cluster stays when a manifest does not name one.
			const open = await beectl('apply -f -', KV.replace('  replicas: 3\n', ''));
			expect(open.out).to.equal('statefulset.apps/kv unchanged\n');
		});

		it('call nothing gone while a host that may have pods of it is silent', async () => {
			host.silent = [createPeerKey().peerId as MachineId];
			const { code, err } = await beectl('delete sts/kv --wait --timeout 300ms');
			expect(code).to.equal(4);
			expect(err).to.contain('timed out; it goes on without us. no pod is known\n  1 host did not answer\n');
		});

		it('delete by charter, and wait until the last pod is gone', async () => {
			const { code, out } = await beectl('delete -f - --wait', KV);
			expect(code).to.equal(0);
			expect(out).to.equal('statefulset.apps/kv deleted\n');
			expect(host.charters[0]?.deleted).to.equal(true);
			expect((await beectl('get pods')).out).to.equal('');
			expect((await beectl('delete sts/kv')).code).to.equal(3);
			expect((await beectl('delete sts/kv --ignore-not-found')).code).to.equal(0);
		});
	});
});

/** Aborts as soon as something is so. */
function aborted(isSo: () => boolean): AbortSignal {
	const controller = new AbortController();
	const check = (): void => void (isSo() ? controller.abort() : setImmediate(check));
	check();
	return controller.signal;
}
