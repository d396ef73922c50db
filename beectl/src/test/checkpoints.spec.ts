import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
	createGroupKey,
	EpochChain,
	groupKeyCommit,
	linkOf,
	openCheckpoint,
	openRecord,
	ROSTER_BYTES_MAX,
	requireCheckpoint,
	sealRoster,
	signRecordPart,
} from '@beemesh/sdk/identity';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type Invoked, invoke } from './invoke.ts';
import { type ScriptedHost, startScriptedHost } from './scripted-host.ts';

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: example/web:1}]}
`;

describe('beectl and the history of members', () => {
	let folder: string;
	let host: ScriptedHost;
	const beectl = (args: string, stdin?: string): Promise<Invoked> =>
		invoke(args.split(' '), {
			...(stdin === undefined ? {} : { stdin }),
			env: { BEEMESH_HOST: host.socket, BEEMESH_OWNER: join(folder, 'owner.key'), HOME: folder },
		});

	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'beectl-'));
		host = await startScriptedHost(join(folder, 'run', 'host.sock'));
		expect((await beectl('owner create --no-passphrase')).code).to.equal(0);
		expect((await beectl('apply -f -', WEB)).code).to.equal(0);
	});
	afterEach(async () => {
		await host[Symbol.asyncDispose]();
		await rm(folder, { recursive: true });
	});

	/** The one member, which adds so many epochs and takes checkpoints as members do. */
	function memberWith(epochs: number) {
		const [first] = host.members;
		const [view] = host.workloads.values();
		if (first === undefined || view === undefined) throw new Error('nothing was placed');
		const { told, keys } = first;
		const charter = openRecord('charter', view.charter);
		const { wid } = charter.body;
		const chain = EpochChain.from(charter, told.links, Date.now());
		const leave = (): void => {
			const sealed = sealRoster(told.psk, wid, { charter: charter.envelope, links: chain.linksSince(-1) });
			if (sealed !== undefined) host.rosters = [sealed];
		};
		const add = (): void => {
			const draft = chain.draft([], { tsMs: Date.now(), groupKeyCommit: groupKeyCommit(createGroupKey()) });
			chain.offer([linkOf(draft, [signRecordPart('epoch', draft.body, keys.signer)])], Date.now());
			leave();
		};
		const refusals: string[] = [];
		host.onCheckpoint = (given, sealed) => {
			const link = openCheckpoint(told.psk, given, sealed);
			try {
				requireCheckpoint(chain, link, Date.now());
				chain.offer([link], Date.now());
			} catch (error) {
				refusals.push((error as { code: string }).code);
			}
			leave();
		};
		for (let i = 0; i < epochs; i++) add();
		leave();
		return { chain, add, refusals };
	}

	it('a history that is long becomes one epoch when what is there is applied again', async () => {
		const { chain } = memberWith(64);
		const { members } = chain.head;
		const { code, out, err } = await beectl('apply -f -', WEB);
		expect(code, err).to.equal(0);
		expect(out).to.equal('deployment.apps/web unchanged\n');
		expect(err).to.contain('members of web confirmed: 65 epochs are 1 now\n');
		expect(chain.linksSince(-1)).to.have.length(1);
		expect(chain.head.members).to.deep.equal(members);
		expect(host.charters).to.deep.equal([]);
		expect(host.checkpoints).to.have.length(1);
	});

	it('one that is not long is left alone, until something is changed', async () => {
		const { chain } = memberWith(63);
		expect((await beectl('apply -f -', WEB)).err).not.to.contain('members of');
		expect(host.checkpoints).to.deep.equal([]);
		const { code, err } = await beectl('scale deployment/web --replicas=2');
		expect(code, err).to.equal(0);
		expect(err).to.contain('members of web confirmed: 64 epochs are 1 now\n');
		expect(chain.linksSince(-1)).to.have.length(1);
		expect(host.charters[0]?.replicas).to.equal(2);
	});

	it('nothing is signed where the owner’s word is the last one, or no member has left anything', async () => {
		await beectl('scale deployment/web --replicas=2');
		memberWith(0);
		await beectl('scale deployment/web --replicas=3');
		expect(host.charters).to.have.length(2);
		expect(host.checkpoints).to.deep.equal([]);
	});

	it('members that were faster get another one, which holds', async () => {
		const { chain, add, refusals } = memberWith(64);
		const take = host.onCheckpoint;
		host.onCheckpoint = (wid, sealed) => {
			if (host.checkpoints.length === 1) add();
			take(wid, sealed);
		};
		const { code, err } = await beectl('apply -f -', WEB);
		expect(code, err).to.equal(0);
		expect(refusals).to.deep.equal(['conflict']);
		expect(err).to.contain('members of web confirmed: 66 epochs are 1 now\n');
		expect(host.checkpoints).to.have.length(2);
		expect(chain.linksSince(-1)).to.have.length(1);
	});

	it('what a host makes up is not taken for members', async () => {
		const { chain } = memberWith(64);
		host.rosters = [new Uint8Array(100), ...host.rosters.map((sealed) => sealed.map((byte, i) => (i > 60 ? 0 : byte)))];
		const { code, err } = await beectl('apply -f -', WEB);
		expect(code, err).to.equal(0);
		expect(err).not.to.contain('members of');
		host.rosters = [new Uint8Array(ROSTER_BYTES_MAX)];
		const { err: none } = await beectl('apply -f -', WEB);
		expect(none, 'the longest that there can be does arrive').not.to.contain('members of');
		expect(chain.linksSince(-1)).to.have.length(65);
	});

	it('a change is made also where nobody takes the owner’s word', async () => {
		memberWith(2);
		host.onCheckpoint = () => {};
		const { code, out, err } = await beectl('scale deployment/web --replicas=2');
		expect(code, err).to.equal(0);
		expect(out).to.equal('deployment.apps/web scaled\n');
		expect(err).to.contain('members of web not confirmed, so their history stays long: no member');
		expect(host.charters[0]?.replicas).to.equal(2);
	}).timeout(15_000);
});
