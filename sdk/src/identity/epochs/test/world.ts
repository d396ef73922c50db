/**
 * Many parties of one workload on a network that parts and heals, from a seed. The honest ones do what the chain allows
 * them; a captured one signs whatever it likes. After every step each history that somebody holds is walked again by a
 * checker of its own, which knows nothing of the chain's code.
 */
import { expect } from 'chai';
import { isMeshError } from '../../../errors.ts';
import {
	type Charter,
	type EpochLink,
	type EpochRecord,
	KEY_BYTES,
	type MachineId,
	type SlotGen,
} from '../../../wire/index.ts';
import { createKeyPair } from '../../keys.ts';
import { createNodeKeys, NODE_SEED_BYTES } from '../../machine.ts';
import { type PeekedRecord, peekRecord } from '../../records.ts';
import { NOW_MS } from '../../test/fixtures.ts';
import { EpochChain } from '../chain.ts';
import { type EpochChange, type EpochDraft, foundingEpoch } from '../draft.ts';
import {
	commit,
	createEpochWorkload,
	forged,
	renewed,
	signedLink,
	type TestReplica,
	type TestWorkload,
} from './workload.ts';

const SLOTS_MAX = 6;
const MACHINE = createNodeKeys(new Uint8Array(NODE_SEED_BYTES).fill(9)).peer.peerId as MachineId;

/** A replica that was let in once. Out or not, it keeps listening. */
interface Party {
	readonly name: string;
	readonly replica: TestReplica;
	chain: EpochChain;
	side: number;
	/** Epochs that it has signed something after: honest ones sign one each. */
	readonly signedAfter: Set<string>;
}

export interface Tally {
	epochs: number;
	forks: number;
	refused: number;
	owned: number;
}

export class World {
	readonly tally: Tally = { epochs: 0, forks: 0, refused: 0, owned: 0 };
	readonly #random: () => number;
	readonly #workload: TestWorkload;
	readonly #parties: Party[] = [];
	readonly #owner: { chain: EpochChain };
	/** A member of the first epoch whose keys somebody has stolen. */
	readonly #captured: TestReplica;
	readonly #isOwnerSilent: boolean;
	#nowMs = NOW_MS;
	#count = 0;
	#key = 1;

	constructor(seed: number, terms: Partial<Charter>, { isOwnerSilent = false } = {}) {
		this.#isOwnerSilent = isOwnerSilent;
		this.#random = seededRandom(seed);
		const owner = createKeyPair(new Uint8Array(KEY_BYTES.seed).fill(seed));
		this.#workload = createEpochWorkload({ slotsMax: SLOTS_MAX, ...terms }, owner);
		const replicas = [0, 1, 2, 3].map((slot) => this.#replica(slot, 1));
		const founding = this.#workload.foundingLink(replicas);
		const begin = (): EpochChain => EpochChain.found(this.#workload.charter, founding, NOW_MS);
		this.#owner = { chain: begin() };
		for (const replica of replicas) this.#parties.push(this.#party(replica, begin()));
		this.#captured = replicas[3] as TestReplica;
	}

	/** Something happens, somewhere. */
	step(): void {
		this.#nowMs += Math.floor(this.#random() * 40 * 60_000);
		const dice = this.#random();
		if (dice < 0.1) this.#part();
		else if (dice < 0.16) this.#heal();
		else if (dice < 0.22 && !this.#isOwnerSilent) this.#ownerSpeaks();
		else if (dice < 0.3) this.#forge();
		else if (dice < 0.5) this.#exchange();
		else this.#propose();
		for (const { chain } of this.#parties) requireLawful(chain, SLOTS_MAX);
	}

	/** Everybody meets everybody. All know one head then. */
	converge(): void {
		this.#heal();
		for (let round = 0; round < 2; round++)
			for (const a of this.#parties) for (const b of this.#parties) if (a !== b) this.#tell(a, b);
		const heads = new Set(this.#parties.map(({ chain }) => chain.head.cid));
		expect(heads.size, `${heads.size} heads among ${this.#parties.length} parties`).to.equal(1);
		const [first] = this.#parties;
		const newcomer = this.#joined((first as Party).chain);
		expect(newcomer.head).to.deep.equal((first as Party).chain.head);
	}

	#propose(): void {
		const proposer = this.#pick(this.#parties.filter((party) => this.#isIn(party)));
		if (proposer === undefined) return;
		const { chain } = proposer;
		const changes = this.#changes(chain);
		let draft: EpochDraft;
		try {
			draft = chain.draft(changes, { tsMs: this.#nowMs, groupKeyCommit: commit(this.#key++ % 250) });
		} catch (error) {
			if (!isMeshError(error)) throw error;
			this.tally.refused++;
			return;
		}
		// Co-signers are those who can be reached, have the same head, and have signed nothing after it yet.
		const signers = this.#parties
			.filter((party) => party.side === proposer.side && this.#isIn(party) && party.chain.head.cid === chain.head.cid)
			.filter(({ signedAfter }) => !signedAfter.has(chain.head.cid))
			.slice(0, chain.signaturesNeeded);
		if (signers.length < chain.signaturesNeeded) return;
		for (const signer of signers) {
			signer.chain.mayCosign(draft.body, draft.certs, this.#nowMs);
			signer.signedAfter.add(chain.head.cid);
		}
		const link = signedLink(
			draft,
			signers.map(({ replica }) => replica),
		);
		expect(chain.offer([link], this.#nowMs).type).to.equal('extended');
		this.tally.epochs++;
		for (const change of changes)
			if (change.type === 'admit') {
				const { slot, gen } = peekRecord('replica-cert', change.cert).body;
				const replica = this.#newest(slot, gen);
				if (replica !== undefined) this.#parties.push(this.#party(replica, this.#joined(chain), proposer.side));
			}
	}

	/** One or two changes, often lawful. */
	#changes(chain: EpochChain): readonly EpochChange[] {
		const { members, body } = chain.head;
		const changes: EpochChange[] = chain
			.expiredAt(this.#nowMs)
			.map(({ slot, gen }) => ({ type: 'remove', slot, gen }) as const);
		const dice = this.#random();
		const member = this.#pick(members.filter(({ cert }) => this.#nowMs < cert.exp));
		if (dice < 0.45) {
			const slot = Math.floor(this.#random() * (SLOTS_MAX + 1));
			const last = [...body.members, ...body.vacant].find((entry) => entry.slot === slot)?.gen ?? 0;
			const gen = Math.max(1, last + (this.#random() < 0.9 ? 1 : Math.floor(this.#random() * 4) - 1));
			changes.push({ type: 'admit', cert: this.#replica(slot, gen).cert(this.#nowMs) });
		} else if (dice < 0.6 && member !== undefined) {
			changes.push({ type: 'remove', slot: member.slot, gen: member.gen });
		}
		// Those who are there renew what is half over.
		for (const { slot, gen, cert, envelope, replicaId } of members) {
			const holder = this.#parties.find(({ replica }) => replica.keys.peer.peerId === replicaId);
			const isGoing = changes.some((change) => change.type === 'remove' && change.slot === slot && change.gen === gen);
			if (holder === undefined || isGoing || this.#nowMs < (cert.nbf + cert.exp) / 2) continue;
			if (changes.some((change) => change.type === 'admit')) continue;
			changes.push({ type: 'renew', cert: renewed(this.#workload.charter, holder.replica, envelope, this.#nowMs) });
		}
		return changes;
	}

	/** The captured member signs an epoch that is altered in some way; nobody is the worse for it. */
	#forge(): void {
		const victim = this.#pick(this.#parties);
		if (victim === undefined) return;
		const { head } = victim.chain;
		let draft: EpochDraft;
		try {
			draft = victim.chain.draft([], { tsMs: this.#nowMs, groupKeyCommit: commit(this.#key++ % 250) });
		} catch (error) {
			if (!isMeshError(error)) throw error;
			return;
		}
		const before = victim.chain.linksSince(-1);
		const link = forged(draft, this.#alteration(draft.body), [this.#captured]);
		try {
			const outcome = victim.chain.offer([link], this.#nowMs);
			expect(outcome).to.deep.equal({ type: 'gap', needs: 'links' });
		} catch (error) {
			if (!isMeshError(error)) throw error;
		}
		this.tally.refused++;
		expect(victim.chain.head).to.deep.equal(head);
		expect(victim.chain.linksSince(-1)).to.deep.equal(before);
	}

	#alteration(body: EpochRecord): Partial<EpochRecord> {
		const member = this.#pick(body.members);
		const others = body.members.filter(({ slot }) => slot !== member?.slot);
		const bumped = member === undefined ? [] : [{ ...member, gen: member.gen + 1 + Math.floor(this.#random() * 3) }];
		const alterations: readonly Partial<EpochRecord>[] = [
			{ era: body.era + 1 },
			{ e: body.e + 1 },
			{ e: body.e - 1 },
			{ prev: peekRecord('epoch', this.#workload.foundingLink([]).epoch).cid },
			{ ts: this.#nowMs + 31_000 },
			{ ts: 0 },
			{ vacant: [{ slot: SLOTS_MAX - 1, gen: 9 }] },
			{ members: [...others, ...bumped].sort((a, b) => a.slot - b.slot) },
			{ members: [...body.members, { slot: 99, gen: 1, certCid: body.prev as never, sigKeyId: new Uint8Array(32) }] },
			{ wid: createEpochWorkload().charter.body.wid },
		];
		return this.#pick(alterations) as Partial<EpochRecord>;
	}

	#ownerSpeaks(): void {
		const informant = this.#pick(this.#parties);
		if (informant === undefined) return;
		const { chain } = this.#owner;
		chain.offer(informant.chain.linksFor(chain.head), this.#nowMs);
		const { charter } = this.#workload;
		const certs = chain.head.members.filter(({ cert }) => this.#nowMs <= cert.exp).map(({ envelope }) => envelope);
		if (certs.length === 0) {
			// Everybody has expired: it begins with somebody new, in the generation after the last.
			const last = [...chain.head.body.members, ...chain.head.body.vacant].find(({ slot }) => slot === 0)?.gen ?? 0;
			const replica = this.#replica(0, last + 1);
			const changes: EpochChange[] = chain.head.members.map(({ slot, gen }) => ({ type: 'remove', slot, gen }));
			changes.push({ type: 'admit', cert: replica.cert(this.#nowMs) });
			this.#ownerSigns(chain.draft(changes, { tsMs: this.#nowMs, groupKeyCommit: commit(this.#key++ % 250) }));
			this.#parties.push(this.#party(replica, this.#joined(chain), informant.side));
		} else if (this.#random() < 0.3) {
			const vacant = lastGenerations(chain.head.body).filter(
				({ slot }) => !chain.head.members.some((member) => member.slot === slot && this.#nowMs <= member.cert.exp),
			);
			const options = { tsMs: this.#nowMs, groupKeyCommit: commit(this.#key++ % 250), vacant };
			const era = chain.head.era + 1;
			const anew = this.#workload.charterWith({ slotsMax: SLOTS_MAX, era });
			for (const party of [...this.#parties, this.#owner]) party.chain.takeCharter(anew);
			this.#ownerSigns(foundingEpoch({ ...charter.body, era }, certs, options));
		} else {
			const changes = chain.expiredAt(this.#nowMs).map(({ slot, gen }) => ({ type: 'remove', slot, gen }) as const);
			this.#ownerSigns(chain.draft(changes, { tsMs: this.#nowMs, groupKeyCommit: commit(this.#key++ % 250) }));
		}
		informant.chain.offer(chain.linksSince(-1), this.#nowMs);
		this.tally.owned++;
	}

	#ownerSigns(draft: EpochDraft): void {
		expect(this.#owner.chain.offer([this.#workload.owned(draft)], this.#nowMs).type).to.equal('extended');
	}

	#exchange(): void {
		const a = this.#pick(this.#parties);
		const b = this.#pick(this.#parties.filter((party) => party !== a && party.side === a?.side));
		if (a === undefined || b === undefined) return;
		this.#tell(a, b);
		this.#tell(b, a);
	}

	#tell(from: Party, to: Party): void {
		const outcome = to.chain.offer(from.chain.linksFor(to.chain.head), this.#nowMs);
		expect(outcome.type, 'all there is leaves no gap').not.to.equal('gap');
		if (outcome.type === 'forked') this.tally.forks++;
		expect(to.chain.isBehind(from.chain.position)).to.equal(false);
	}

	#part(): void {
		for (const party of this.#parties) party.side = Math.floor(this.#random() * 3);
	}

	#heal(): void {
		for (const party of this.#parties) party.side = 0;
	}

	#isIn({ chain, replica }: Party): boolean {
		const member = chain.member(replica.keys.peer.peerId as never);
		return member !== undefined && this.#nowMs <= member.cert.exp;
	}

	/** A newcomer begins with what it was given. */
	#joined(chain: EpochChain): EpochChain {
		return EpochChain.from(chain.charter, chain.linksSince(-1), this.#nowMs);
	}

	#party(replica: TestReplica, chain: EpochChain, side = 0): Party {
		return { name: `${replica.slot}.${replica.gen}`, replica, chain, side, signedAfter: new Set() };
	}

	readonly #made: TestReplica[] = [];

	#newest(slot: number, gen: number): TestReplica | undefined {
		return this.#made.findLast((replica) => replica.slot === slot && replica.gen === gen);
	}

	#replica(slot: number, gen: number): TestReplica {
		const seed = new Uint8Array(NODE_SEED_BYTES).fill(7);
		new DataView(seed.buffer).setUint32(0, ++this.#count);
		const keys = createNodeKeys(seed.map((byte, i) => byte ^ (i % 32 < 4 ? 0 : 1) ^ (seed[i % 4] ?? 0)));
		const awardId = String(this.#count).padStart(26, '0');
		const replica = this.#workload.replica(slot, gen, { keys, awardId, machineId: MACHINE });
		this.#made.push(replica);
		return replica;
	}

	#pick<T>(from: readonly T[]): T | undefined {
		return from[Math.floor(this.#random() * from.length)];
	}
}

/** Walks a history by the three promises alone. */
function requireLawful(chain: EpochChain, slotsMax: number): void {
	let before: ReadonlyMap<number, number> | undefined;
	for (const { body } of chain.linksSince(-1).map(recordOf)) {
		const slots = body.members.map(({ slot }) => slot);
		expect(new Set(slots).size, `epoch ${body.e}: two members of one slot`).to.equal(slots.length);
		expect(slots.length <= slotsMax && slots.every((slot) => slot < slotsMax), `epoch ${body.e}: slots`).to.equal(true);
		const now = new Map(lastGenerations(body).map(({ slot, gen }) => [slot, gen]));
		for (const { slot, gen } of before === undefined ? [] : lastGenerations(body)) {
			const was = before?.get(slot) ?? 0;
			const isMember = slots.includes(slot);
			expect(gen === was || (isMember && gen === was + 1), `epoch ${body.e}: slot ${slot} ${was} → ${gen}`).to.equal(
				true,
			);
		}
		for (const slot of before?.keys() ?? [])
			expect(now.has(slot), `epoch ${body.e}: slot ${slot} forgotten`).to.equal(true);
		before = now;
	}
}

function recordOf({ epoch }: EpochLink): PeekedRecord<'epoch'> {
	return peekRecord('epoch', epoch);
}

function lastGenerations({ members, vacant }: EpochRecord): SlotGen[] {
	return [...members, ...vacant].map(({ slot, gen }) => ({ slot, gen })).sort((a, b) => a.slot - b.slot);
}

function seededRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
	};
}
