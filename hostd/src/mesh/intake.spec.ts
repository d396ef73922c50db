import { createKeyPair, createNodeKeys, signRecord } from '@beemesh/sdk/identity';
import { encodeRecord, LIMITS, type MachineId, type Presence } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createPresenceTable } from './core/presence.ts';
import { createEpochIntake } from './epochs.ts';
import { openGossip, sealGossip } from './gossip-seal.ts';
import { introductionOf } from './hello.ts';
import { Intake, type Kind } from './intake.ts';
import { presenceKind } from './presence-intake.ts';
import { createTestRoot } from './test/root.ts';

const NOTHING = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };
const RELAY = 'relay' as MachineId;

describe('intake of presence', () => {
	const root = createTestRoot();
	const [us, them] = [root.enrol(), root.enrol()];
	const table = createPresenceTable();
	let seq = 1;

	function presence(ts: number, change: Partial<Presence> = {}): Presence {
		return {
			machineId: them.machineId,
			name: 'them',
			addresses: [],
			labels: {},
			runtime: 'memory',
			version: '0',
			capacity: NOTHING,
			free: NOTHING,
			pods: 0,
			leaving: false,
			seq: seq++,
			ts,
			exp: ts + 15_000,
			...change,
		};
	}
	const said = (body: Presence, signer = them.keys.signer, credential: Uint8Array | undefined = them.credential) =>
		introductionOf(signRecord('presence', body, signer), credential);
	const intake = (startedAtMs = 0, trust = us.trust) =>
		new Intake(
			presenceKind(trust, (machineId, number) => table.isNews(machineId, number)),
			startedAtMs,
		);

	it('accepts ±30.000 s and not ±30.001 s, and nothing said before the start', () => {
		const now = Date.now();
		for (const [offMs, verdict] of [
			[30_000, 'accept'],
			[-30_000, 'accept'],
			[30_001, 'ignore'],
			[-30_001, 'ignore'],
		] as const) {
			expect(intake().admit(said(presence(now)), RELAY, now + offMs).verdict, `${offMs} ms`).to.equal(verdict);
		}
		expect(intake(now).admit(said(presence(now)), RELAY, now + 1).verdict).to.equal('accept');
		expect(intake(now + 1).admit(said(presence(now)), RELAY, now + 1).verdict).to.equal('ignore');
	});

	it('rejects forgeries, and ignores whom it does not know and whom it knows to be revoked', () => {
		const now = Date.now();
		expect(intake().admit(said(presence(now), createKeyPair()), RELAY, now).verdict).to.equal('reject');
		// Another member in their name.
		const third = root.enrol();
		expect(intake().admit(said(presence(now), third.keys.signer), RELAY, now).verdict).to.equal('reject');
		// A member of another mesh.
		const strange = createTestRoot('elsewhere').enrol();
		const body = presence(now, { machineId: strange.machineId });
		expect(intake().admit(said(body, strange.keys.signer, strange.credential), RELAY, now).verdict).to.equal('reject');
		const unknown = presence(now, { machineId: third.machineId });
		expect(
			intake().admit(introductionOf(signRecord('presence', unknown, third.keys.signer)), RELAY, now).verdict,
		).to.equal('ignore');
		const knowing = root.enrol();
		knowing.offerEpoch(root.epoch(2, [them.machineId]).envelope);
		expect(intake(0, knowing.trust).admit(said(presence(now)), RELAY, now).verdict).to.equal('ignore');
	});

	it('rejects what is too large, not canonical, or cut at any length', () => {
		const now = Date.now();
		const good = said(presence(now));
		const judge = intake();
		expect(judge.admit(new Uint8Array(LIMITS.frameBytesMax + 1), RELAY, now).verdict).to.equal('reject');
		expect(judge.admit(new Uint8Array([...good, 0]), RELAY, now).verdict).to.equal('reject');
		for (let i = 0; i < good.byteLength; i += 97) {
			expect(judge.admit(good.subarray(0, i), RELAY, now).verdict, `cut at ${i}`).to.equal('reject');
		}
		expect(judge.admit(encodeRecord({ presence: { nested: {} } }), RELAY, now).verdict).to.equal('reject');
		expect(judge.admit(good, RELAY, now).verdict).to.equal('accept');
	});

	it('checks only so many signatures for one that passes them on, and as many for the next', () => {
		const now = Date.now();
		const kind = presenceKind(us.trust, () => true);
		let checked = 0;
		const counting: Kind<Parameters<typeof kind.verify>[0], boolean> = {
			...kind,
			rate: { perMinute: 1e6, burst: 1e6 },
			checks: { perMinute: 60, burst: 10 },
			verify: () => ++checked > 0,
		};
		const judge = new Intake(counting, 0);
		const good = said(presence(now));
		for (let i = 0; i < 30; i++) judge.admit(good, RELAY, now);
		expect(checked).to.equal(10);
		judge.admit(good, 'another' as MachineId, now);
		judge.admit(good, RELAY, now + 1_000);
		expect(checked).to.equal(12);
		// Junk costs nobody a check, and has its own limit.
		for (let i = 0; i < 2_000; i++) judge.admit(new Uint8Array(10), 'third' as MachineId, now);
		expect(judge.admit(new Uint8Array(10), 'third' as MachineId, now).verdict).to.equal('ignore');
		expect(checked).to.equal(12);
	});
});

describe('intake of epochs', () => {
	it('takes the newest, once, of this mesh and its root only', () => {
		const root = createTestRoot();
		const membership = root.enrol();
		const intake = createEpochIntake(membership);
		const [second, third] = [root.epoch(2).envelope, root.epoch(3).envelope];
		expect(intake.admit(third, RELAY, 0).verdict).to.equal('accept');
		expect(intake.admit(third, RELAY, 0).verdict).to.equal('ignore');
		expect(intake.admit(second, RELAY, 0).verdict).to.equal('ignore');
		expect(intake.admit(createTestRoot('other').epoch(9).envelope, RELAY, 0).verdict).to.equal('reject');
		const forged = { ...membership.trust.epoch.body, seq: 10 };
		expect(intake.admit(signRecord('mesh-epoch', forged, createKeyPair()), RELAY, 0).verdict).to.equal('reject');
		// A second epoch of one number is evidence, not news.
		expect(intake.admit(root.epoch(3, [membership.machineId]).envelope, RELAY, 0).verdict).to.equal('reject');
		expect(membership.trust.epoch.body.seq).to.equal(3);
	});
});

describe('sealed gossip while secrets change', () => {
	const data = new Uint8Array([1, 2, 3]);

	it('opens under both keys, and is sealed with the one that the epoch names as soon as it is here', () => {
		const root = createTestRoot();
		const [early, late] = [root.enrol(createNodeKeys()), root.enrol(createNodeKeys())];
		const before = sealGossip(early, 'topic', data);
		const { envelope, keyring } = root.epoch(2);
		early.offerEpoch(envelope);
		// The epoch is known, its secrets are not: the old ones go on.
		expect(openGossip(late, 'topic', sealGossip(early, 'topic', data))).to.deep.equal({ data });
		early.offerKeyring(keyring);
		const after = sealGossip(early, 'topic', data);
		expect(openGossip(early, 'topic', before)).to.deep.equal({ data });
		expect(openGossip(late, 'topic', after)).to.include({ verdict: 'ignore' });
		late.offerEpoch(envelope);
		late.offerKeyring(keyring);
		expect(openGossip(late, 'topic', after)).to.deep.equal({ data });
		expect(openGossip(late, 'other topic', after)).to.include({ verdict: 'reject' });
		expect(openGossip(late, 'topic', data)).to.include({ verdict: 'reject' });
		// Two epochs on, the first key opens nothing.
		const third = root.epoch(3);
		late.offerEpoch(third.envelope);
		late.offerKeyring(third.keyring);
		expect(openGossip(late, 'topic', before)).to.include({ verdict: 'ignore' });
	});
});
