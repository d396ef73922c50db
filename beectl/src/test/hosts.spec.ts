import { createPeerKey } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createHome, type Home } from './folder.ts';
import { type ScriptedHost, startScriptedHost } from './scripted-host.ts';

const manifest = (name: string, replicas = 2) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: main, image: "example/web:1"}]}
`;

describe('hosts behind the entry host', () => {
	let home: Home;
	let entry: ScriptedHost;
	let second: ScriptedHost;
	let third: ScriptedHost;

	beforeEach(async () => {
		home = await createHome();
		entry = await startScriptedHost(home.at('no.sock'));
		second = await startScriptedHost(home.at('second.sock'), 'bee-2', entry.root, entry.mesh);
		third = await startScriptedHost(home.at('third.sock'), 'bee-3', entry.root, entry.mesh);
		for (const host of [second, third]) entry.reaches.set(host.machineId, host);
		await home.beectl('owner create --no-passphrase');
		// Each runs something of this owner, for the owner has spoken to each.
		for (const [name, socket] of [
			['web', 'second.sock'],
			['db', 'third.sock'],
		] as const) {
			const env = { BEEMESH_HOST: home.at(socket) };
			expect((await home.beectl('apply -f -', { stdin: manifest(name), env })).code).to.equal(0);
		}
	});
	afterEach(async () => {
		for (const host of [entry, second, third]) await host[Symbol.asyncDispose]();
		await home[Symbol.asyncDispose]();
	});

	const podsIn = async (args = 'get pods -o json') =>
		JSON.parse((await home.beectl(args)).out) as { items: { name: string }[]; hostsSilent: MachineId[] };

	it('are each asked by the owner, and their answers are one list', async () => {
		const { items, hostsSilent } = await podsIn();
		expect(items.map(({ name }) => name)).to.deep.equal(['db-0', 'db-1', 'web-0', 'web-1']);
		expect(hostsSilent).to.deep.equal([]);
		expect((await home.beectl('logs db-1')).out).to.contain('pod-db-1-g1 started');
	});

	it('hear of a change only when they run what it is about; of an end, from each other', async () => {
		expect((await home.beectl('scale deployment/web --replicas=3')).code).to.equal(0);
		expect(second.charters.map(({ replicas }) => replicas)).to.deep.equal([3]);
		expect([...entry.charters, ...third.charters]).to.deep.equal([]);
		expect((await home.beectl('delete deployment/db')).code).to.equal(0);
		expect(third.charters.map(({ deleted }) => deleted)).to.deep.equal([true]);
		expect([...entry.charters]).to.deep.equal([]);
		expect(entry.ended).to.deep.equal([third.charters[0]?.wid]);
	});

	it('are believed about their own pods only', async () => {
		const [view] = second.workloads.values();
		if (view === undefined) throw new Error('nothing runs there');
		view.pods.push({ ...(view.pods[0] as (typeof view.pods)[0]), name: 'web-9', machineId: third.machineId });
		expect((await podsIn()).items.map(({ name }) => name)).not.to.include('web-9');
	});

	it('are not believed to be what another one says that it is', async () => {
		for (const host of [entry, second, third]) host.owners.clear();
		entry.poses = true;
		const { items, hostsSilent } = await podsIn();
		expect(items).to.deep.equal([]);
		expect([...hostsSilent].sort()).to.deep.equal([second.machineId, third.machineId].sort());
		expect([...second.owners, ...third.owners]).to.deep.equal([]);
	});

	it('that cannot be reached are named, and the others are shown', async () => {
		entry.reaches.delete(third.machineId);
		entry.silent = [createPeerKey().peerId as MachineId];
		const { items, hostsSilent } = await podsIn();
		expect(items.map(({ name }) => name)).to.deep.equal(['web-0', 'web-1']);
		expect(hostsSilent).to.deep.equal(entry.silent);
	});
});
