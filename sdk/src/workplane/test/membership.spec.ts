import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Directory, Trust } from '../../discovery/index.ts';
import { MeshError } from '../../errors.ts';
import { certifyOwn } from '../../identity/epochs/certificate.ts';
import { createEpochWorkload, renewed, signedLink, type TestReplica } from '../../identity/epochs/test/workload.ts';
import {
	createGroupKey,
	createNodeKeys,
	createUlid,
	draftCheckpoint,
	type EpochChain,
	foundingEpoch,
	groupKeyCommit,
	type OpenedMachine,
	openCsr,
	openRecord,
	openSealedAdmission,
	type Roster,
	requestAdmission,
	signRecord,
} from '../../identity/index.ts';
import { DAY_MS, HOUR_MS, MANIFEST } from '../../identity/test/fixtures.ts';
import { createLogger } from '../../telemetry/index.ts';
import type { EpochLink, MachineId } from '../../wire/index.ts';
import { type MembershipChange, MembershipOffice, type MembershipOptions } from '../membership.ts';
import { Secrets } from '../secrets.ts';

/** A member that holds slot 0, with whoever is given besides. */
function scene(
	options: Partial<MembershipOptions> & { readonly bornMs?: number; readonly find?: () => Roster[] } = {},
	others: readonly number[] = [1],
) {
	const { bornMs = Date.now(), find = () => [], ...more } = options;
	const workload = createEpochWorkload();
	const { body } = workload.charter;
	const own = workload.replica(0);
	const replicas = others.map((slot) => workload.replica(slot));
	const groupKey = createGroupKey();
	const secrets = new Secrets({ psk: new Uint8Array(32), groupKey, tenderSecret: new Uint8Array(64) });
	const certs = [own.cert(Date.now() - 13 * HOUR_MS), ...replicas.map((replica) => replica.cert(bornMs))];
	const founding = foundingEpoch(body, certs, {
		tsMs: Math.max(bornMs, Date.now() - 13 * HOUR_MS),
		groupKeyCommit: groupKeyCommit(groupKey),
	});
	const trust = new Trust({
		owner: workload.owner.publicKey,
		openCharter: (envelope) => openRecord('charter', envelope),
		find: async () => find(),
	});
	trust.learn({ charter: workload.charter.envelope, links: [workload.owned(founding)] });
	trust.onChange(() => secrets.follow(chainOf().head.body.groupKeyCommit));
	const machine = createNodeKeys();
	const machineId = machine.peer.peerId as MachineId;
	const logged: string[] = [];
	const office = new MembershipOffice({
		...{ wid: body.wid, keys: own.keys, trust, secrets },
		// Nobody else is connected: with k = 1 nobody else is needed.
		directory: { member: () => undefined } as unknown as Directory,
		machine: () => ({ machineId, cert: { sigKey: machine.signer.publicKey, labels: {} } }) as OpenedMachine,
		manifests: () => new Map([[body.manifestCid, MANIFEST]]),
		commit: undefined,
		keep: async () => undefined,
		log: createLogger({
			level: 'warn',
			format: 'json',
			nowMs: Date.now,
			sink: (line) => void logged.push(String(line)),
		}),
		...more,
	});
	const chainOf = (): EpochChain => trust.chain(body.wid) as EpochChain;
	/** What a host passes on of a pod that asks to be let in. */
	const papersOf = (slot: number, gen: number) => {
		const keys = createNodeKeys();
		const awardId = createUlid(Date.now());
		const at = { slot, gen, incarnation: 0, awardId, wid: body.wid, addresses: [], ts: Date.now() };
		const csr = openCsr(requestAdmission(keys, at).envelope);
		const about = { machineId, manifestCid: body.manifestCid };
		const statement = { awardId, csrCid: csr.cid, ...about, ts: Date.now() };
		const papers = {
			csr: csr.envelope,
			cert: certifyOwn(body, csr, about, keys.signer, Date.now()),
			statement: signRecord('host-statement', statement, machine.signer),
			credential: new Uint8Array(1),
		};
		return { keys, papers };
	};
	const checkpoint = (): EpochLink => workload.owned(draftCheckpoint(chainOf(), Date.now()));
	return { workload, own, replicas, office, trust, secrets, chainOf, papersOf, checkpoint, logged };
}

async function rejected(code: string, act: Promise<unknown>): Promise<MeshError> {
	const error = await act.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	expect(error, String(error)).to.be.instanceOf(MeshError);
	expect((error as MeshError).code, String(error)).to.equal(code);
	return error as MeshError;
}

describe('changes of a workload’s membership', () => {
	it('admit a newcomer, which is told what it takes', async () => {
		const { office, papersOf, chainOf, secrets } = scene();
		const { keys, papers } = papersOf(1, 2);
		const answer = openSealedAdmission(await office.admit(papers), keys.kem);
		expect(chainOf().head.members.map(({ slot, gen }) => [slot, gen])).to.deep.equal([
			[0, 1],
			[1, 2],
		]);
		expect(answer.links).to.deep.equal(chainOf().linksSince(-1));
		expect(answer.groupKey).to.deep.equal(secrets.current.groupKey);
	});

	it('end with a refusal, before anybody has signed, when a newcomer could not be told any more', async () => {
		const probe = scene();
		const historyBytesMax = probe.chainOf().sizeBytes + 1000;
		const { office, papersOf, chainOf, checkpoint, logged } = scene({ historyBytesMax });
		await office.admit(papersOf(1, 2).papers);
		const { head } = chainOf();
		const error = await rejected('exhausted', office.admit(papersOf(1, 3).papers));
		expect(error.message).to.contain('`beectl apply`');
		expect(error.retryable).to.equal(false);
		expect(chainOf().head).to.deep.equal(head);
		expect(logged).to.have.length(1);
		expect(logged[0]).to.match(/1\d\d % of what may be.*`beectl apply`/);
		// What keeps those in who are in goes on.
		expect(await office.renewWhenDue(Date.now())).to.equal(true);
		expect(logged, 'one warning in an hour').to.have.length(1);
		await office.checkpoint(checkpoint());
		expect(chainOf().linksSince(-1)).to.have.length(1);
		await office.admit(papersOf(1, 3).papers);
		expect(chainOf().head.members.map(({ gen }) => gen)).to.deep.equal([1, 3]);
	});

	describe('where one signature is enough', () => {
		const objection = new MeshError('conflict', 'another change after epoch 0 is under way');
		const asking = (cosign: () => Promise<never>) => ({ member: () => ({ cosign }) }) as unknown as Directory;

		it('waits for another member’s change, and follows it', async () => {
			let asked = 0;
			const directory = asking(() => {
				// It has signed this one, which arrives now.
				if (asked++ === 0) queueMicrotask(() => void trust.offer(workload.charter.body.wid, [other]));
				return Promise.reject(asked === 1 ? objection : new MeshError('unavailable', 'gone'));
			});
			const { office, papersOf, chainOf, trust, workload, replicas } = scene({ directory, othersMs: 60_000 });
			const newcomer = workload.replica(2).cert(Date.now());
			const draft = chainOf().draft([{ type: 'admit', cert: newcomer }], { tsMs: Date.now() });
			const other = signedLink(draft, [replicas[0] as TestReplica]);
			await office.admit(papersOf(3, 1).papers);
			expect(chainOf().head.e).to.equal(2);
			expect(chainOf().head.members.map(({ slot }) => slot)).to.deep.equal([0, 1, 2, 3]);
		});

		it('gives the same slot and generation to nobody else', async () => {
			const directory = asking(() => {
				queueMicrotask(() => void trust.offer(workload.charter.body.wid, [other]));
				return Promise.reject(objection);
			});
			const { office, papersOf, chainOf, trust, workload, replicas } = scene({ directory, othersMs: 60_000 });
			const draft = chainOf().draft([{ type: 'admit', cert: workload.replica(2).cert(Date.now()) }], {
				tsMs: Date.now(),
			});
			const other = signedLink(draft, [replicas[0] as TestReplica]);
			await rejected('unauthorized', office.admit(papersOf(2, 1).papers));
			expect(chainOf().head.body).to.deep.equal(draft.body);
		});

		it('is not held up for ever by a member that always objects', async () => {
			let asked = 0;
			const directory = asking(() => {
				asked++;
				return Promise.reject(objection);
			});
			const { office, papersOf, chainOf } = scene({ directory, othersMs: 1 });
			await office.admit(papersOf(2, 1).papers);
			expect(chainOf().head.members).to.have.length(3);
			expect(asked).to.equal(3);
		});

		it('follows what hosts know of a member that cannot be asked', async () => {
			const found: Roster[] = [];
			const { office, papersOf, chainOf, workload, replicas } = scene({ find: () => found });
			const draft = chainOf().draft([{ type: 'admit', cert: workload.replica(2).cert(Date.now()) }], {
				tsMs: Date.now(),
			});
			const other = signedLink(draft, [replicas[0] as TestReplica]);
			const { charter } = workload;
			found.push({ charter: charter.envelope, links: [...chainOf().linksSince(-1), other] });
			await rejected('unauthorized', office.admit(papersOf(2, 1).papers));
			await office.admit(papersOf(3, 1).papers);
			expect(chainOf().head.e).to.equal(2);
			expect(chainOf().head.members.map(({ slot }) => slot)).to.deep.equal([0, 1, 2, 3]);
		});

		it('leaves a change with the host before the newcomer is told', async () => {
			let kept = 0;
			const { office, papersOf, chainOf } = scene({ keep: async () => void (kept = chainOf().head.e) });
			await office.admit(papersOf(2, 1).papers);
			expect(kept).to.equal(1);
		});
	});

	it('renew the certificates of all who can be asked in one epoch; what is wrong is left out', async () => {
		const answers = new Map<string, () => Promise<{ cert?: Uint8Array }>>();
		const directory = {
			member: (id: string) => (answers.has(id) ? { renewal: answers.get(id) } : undefined),
		} as unknown as Directory;
		const bornMs = Date.now() - 7 * HOUR_MS;
		const { office, chainOf, workload, replicas } = scene({ bornMs, directory }, [1, 2, 3, 4, 5, 6]);
		const [good, silent, wrong, altered, none, away] = replicas as [TestReplica, ...TestReplica[]];
		const before = new Map(chainOf().head.members.map(({ slot, certCid }) => [slot, certCid]));
		const anew = (replica: TestReplica, of = replica) => {
			const { envelope = new Uint8Array() } = chainOf().head.members.find(({ slot }) => slot === of.slot) ?? {};
			return renewed(workload.charter, replica, envelope, Date.now());
		};
		const answer = (replica: TestReplica | undefined, act: () => Promise<{ cert?: Uint8Array }>): void =>
			void answers.set(replica?.keys.peer.peerId ?? '', act);
		answer(good, async () => ({ cert: anew(good) }));
		answer(silent, () => Promise.reject(new MeshError('deadline', 'no answer')));
		answer(wrong, async () => ({ cert: anew(good) }));
		answer(altered, async () => {
			const body = {
				...openRecord('replica-cert', anew(altered as TestReplica), ({ sigKey }) => [sigKey]).body,
				gen: 2,
			};
			return { cert: signRecord('replica-cert', body, (altered as TestReplica).keys.signer) };
		});
		answer(none, async () => ({}));
		expect(await office.renewWhenDue(Date.now())).to.equal(true);
		const after = chainOf().head.members.filter(({ slot, certCid }) => before.get(slot) !== certCid);
		expect(after.map(({ slot }) => slot)).to.deep.equal([0, good.slot]);
		expect(chainOf().head.members).to.have.length(7);
		expect(chainOf().linksSince(-1)).to.have.length(2);
		expect(away?.slot).to.equal(6);
	});

	it('renew early for somebody else only what has lived for a quarter of its time', () => {
		const { office } = scene();
		const bornMs = Date.now() - 13 * HOUR_MS;
		expect(office.renewal(bornMs + 5 * HOUR_MS, 'early')).to.equal(undefined);
		expect(office.renewal(bornMs + 7 * HOUR_MS, 'early')).to.be.instanceOf(Uint8Array);
		expect(office.renewal(bornMs + 7 * HOUR_MS, 'due')).to.equal(undefined);
		expect(office.renewal(bornMs + 12 * HOUR_MS + 1000, 'due')).to.be.instanceOf(Uint8Array);
	});

	it('do without members whose certificates are over, so that the others can renew theirs', async () => {
		const { office, chainOf } = scene({ bornMs: Date.now() - DAY_MS - HOUR_MS });
		expect(
			chainOf()
				.expiredAt(Date.now())
				.map(({ slot }) => slot),
		).to.deep.equal([1]);
		expect(await office.renewWhenDue(Date.now())).to.equal(true);
		expect(chainOf().head.members.map(({ slot }) => slot)).to.deep.equal([0]);
		expect(chainOf().head.body.vacant).to.deep.equal([{ slot: 1, gen: 1 }]);
	});
});

describe('a checkpoint, in a member', () => {
	it('is one more epoch, agreed on like any other', async () => {
		const committed: [MembershipChange, EpochLink][] = [];
		const { office, papersOf, chainOf, checkpoint } = scene({
			commit: async (change, link) => void committed.push([change, link]),
		});
		await office.admit(papersOf(1, 2).papers);
		const link = checkpoint();
		const { e, members } = chainOf().head;
		await office.checkpoint(link);
		expect(committed.at(-1)).to.deep.equal([{ type: 'checkpoint' }, link]);
		expect(chainOf().head.e).to.equal(e + 1);
		expect(chainOf().head.members).to.deep.equal(members);
		await office.checkpoint(link);
		expect(committed, 'it is taken once').to.have.length(2);
	});

	it('is not taken when nobody agrees', async () => {
		const { office, papersOf, chainOf, checkpoint } = scene({
			commit: async ({ type }) => {
				if (type === 'checkpoint') throw new MeshError('conflict', 'another epoch was agreed on before');
			},
		});
		await office.admit(papersOf(1, 2).papers);
		const { head } = chainOf();
		await rejected('conflict', office.checkpoint(checkpoint()));
		expect(chainOf().head).to.deep.equal(head);
	});

	it('comes too late for whoever admits somebody first, and the newcomer stays', async () => {
		const { office, papersOf, chainOf, checkpoint } = scene();
		const link = checkpoint();
		const { papers } = papersOf(1, 2);
		const admitting = office.admit(papers);
		await Promise.all([admitting, rejected('conflict', office.checkpoint(link))]);
		expect(chainOf().head.members.map(({ gen }) => gen)).to.deep.equal([1, 2]);
		await office.checkpoint(checkpoint());
		expect(chainOf().linksSince(-1)).to.have.length(1);
		expect(chainOf().head.members.map(({ gen }) => gen)).to.deep.equal([1, 2]);
	});

	it('that another member took makes a renewal of that moment void, and its key; both are made again', async () => {
		const { workload, office, trust, chainOf, secrets, checkpoint } = scene();
		const link = checkpoint();
		const before = secrets.current.groupKey;
		expect(await office.renewWhenDue(Date.now())).to.equal(true);
		expect(secrets.current.groupKey).not.to.deep.equal(before);
		expect(trust.offer(workload.charter.body.wid, [link]).type).to.equal('forked');
		expect(secrets.current.groupKey).to.deep.equal(before);
		expect(await office.renewWhenDue(Date.now())).to.equal(true);
		expect(await office.renewWhenDue(Date.now())).to.equal(false);
		expect(chainOf().linksSince(-1)).to.have.length(2);
	});

	it('is no word of a member’s', async () => {
		const { office, own, chainOf } = scene();
		const signer: TestReplica = own;
		await rejected('unauthorized', office.checkpoint(signedLink(draftCheckpoint(chainOf(), Date.now()), [signer])));
		expect(chainOf().head.e).to.equal(0);
	});
});
