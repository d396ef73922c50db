/**
 * What one party knows of one workload's membership. It begins with an epoch of the owner's and is led on by the members,
 * each epoch signed by enough of those in the one before. Nothing here has a clock or talks to anybody: the caller says
 * what time it is, passes on links, and has checked that the charter holds.
 *
 * Invariants: the base is the newest epoch of the owner's that is known; everything after it is the members'; every member
 * of the head has a verified certificate. What is refused changes nothing.
 *
 * Numbers: `e` grows by one from epoch to epoch, also when the owner signs one that follows the members' last. The owner
 * may also begin anew, with an epoch 0 that follows none, in an era above all before.
 */
import { MeshError } from '../../errors.ts';
import { type EpochLink, type EpochRecord, LIMITS, type RecordCid, type ReplicaId } from '../../wire/index.ts';
import { keyIdOf } from '../keys.ts';
import {
	assembleRecord,
	bytesToSign,
	type OpenedRecord,
	peekRecord,
	type RecordSignature,
	sameBytes,
} from '../records.ts';
import { requireCosignable } from './cosign.ts';
import { draftEpoch, type EpochChange, type EpochDraft, type EpochDraftOptions } from './draft.ts';
import { History } from './history.ts';
import { type EpochPeek, judgeOwner, judgeSteps, type Step } from './judge.ts';
import { CertShelf, type Member, membersOf, type ReplicaCertRecord } from './members.ts';
import {
	compareEpochs,
	comparePositions,
	type EpochName,
	type EpochPosition,
	evidenceOf,
	type ForkEvidence,
} from './order.ts';
import { broken } from './rules.ts';
import { checkEpoch, checkSuccession, type EpochView } from './succession.ts';
import { areTermsLooser, compareCharters, signaturesNeeded } from './terms.ts';

/** Captured members that evidence is kept of; one piece of each. */
const EVIDENCE_MAX = 16;

export type CharterOpened = OpenedRecord<'charter'>;

/** The newest epoch, and who is in. */
export interface Head {
	readonly era: number;
	readonly e: number;
	readonly cid: RecordCid;
	readonly body: EpochRecord;
	/** Ascending by slot. */
	readonly members: readonly Member[];
}

export type Offered =
	/** Nothing that is better than what is known. */
	| { readonly type: 'known' }
	/** The links follow what was known. Who was let in, and who is out. */
	| ({ readonly type: 'extended' } & Change)
	/**
	 * The links are of another history since some epoch. It holds from now on if it is the better one, see `order.ts`; if
	 * not, it has not been verified.
	 */
	| ({ readonly type: 'forked'; readonly isSwitched: boolean; readonly evidence: readonly ForkEvidence[] } & Change)
	/** `links`: ask for all links from the owner's epoch on. `charter`: the owner's epoch is of an era whose charter is missing. */
	| { readonly type: 'gap'; readonly needs: 'links' | 'charter' };

interface Change {
	readonly joined: readonly Member[];
	readonly left: readonly Member[];
}

const NO_CHANGE: Change = { joined: [], left: [] };

export class EpochChain {
	#charter: CharterOpened;
	/** Newer and tighter; holds with the owner's next epoch of its era. */
	#pending: CharterOpened | undefined;
	#history: History;
	#evidence = new Map<string, ForkEvidence>();

	private constructor(charter: CharterOpened, history: History) {
		this.#charter = charter;
		this.#history = history;
	}

	/** From an epoch of the owner's. `charter`: opened, of the owner that is meant. Throws `unauthorized`, `invalid_input`. */
	static found(charter: CharterOpened, base: EpochLink, nowMs: number): EpochChain {
		return EpochChain.from(charter, [base], nowMs);
	}

	/** From the links of somebody else's chain, which begin with an epoch of the owner's: what a newcomer does. */
	static from(charter: CharterOpened, links: readonly EpochLink[], nowMs: number): EpochChain {
		const records = recordsOf(links);
		const owned = sinceOwner(records, charter.signer);
		if (owned === undefined) throw broken('signers', 'no epoch among these is signed by the owner');
		const [base, ...rest] = owned;
		if (base.body.era > charter.body.era)
			throw broken('era', `epoch ${base.body.e} is of era ${base.body.era}, the charter of era ${charter.body.era}`);
		requireNotFuture(owned.at(-1) ?? base, nowMs);
		return new EpochChain(charter, judgeAnew(base, rest, shelfOf(new Map(), links), charter));
	}

	/** The newest charter that membership follows. */
	get charter(): CharterOpened {
		return this.#charter;
	}

	get head(): Head {
		const { cid, body } = this.#history.head;
		return { era: body.era, e: body.e, cid, body, members: this.#history.members };
	}

	/** The owner's last epoch: no links are needed from before it. */
	get checkpoint(): EpochName & Pick<Head, 'era'> {
		const { cid, body } = this.#history.base;
		return { era: body.era, e: body.e, cid };
	}

	/** Signatures that the next epoch needs. */
	get signaturesNeeded(): number {
		return signaturesNeeded(this.#charter.body, this.#history.members.length);
	}

	/** Bytes of what is remembered. */
	get sizeBytes(): number {
		return this.#history.sizeBytes;
	}

	/** Who is in under this ID. Whether its certificate still holds is the caller's question. */
	member(replicaId: ReplicaId): Member | undefined {
		return this.#history.members.find((member) => member.replicaId === replicaId);
	}

	/** Who is in with exactly this certificate. */
	memberByCid(certCid: RecordCid): Member | undefined {
		return this.#history.members.find((member) => member.certCid === certCid);
	}

	/** Members whose certificates do not hold at a time; an epoch of that time must do without them. */
	expiredAt(tsMs: number): readonly Member[] {
		return this.#history.members.filter(({ cert }) => tsMs > cert.exp || tsMs + LIMITS.skewMs < cert.nbf);
	}

	/** Members that have signed two epochs after the same one. */
	forks(): readonly ForkEvidence[] {
		return [...this.#evidence.values()];
	}

	/** Links after epoch `e`, for a party whose head that epoch is; all of them when `e` is before the checkpoint. */
	linksSince(e: number): readonly EpochLink[] {
		return this.#history.linksSince(e);
	}

	/** Links for a party that says what its head is: those after it, or all when it is of another history. */
	linksFor(head: EpochName | undefined): readonly EpochLink[] {
		const isOurs = head !== undefined && this.#history.has(head.e, head.cid);
		return this.linksSince(isOurs ? head.e : -1);
	}

	get position(): EpochPosition {
		const { head, base } = this.#history;
		const { era, e } = head.body;
		return { era, e, cid: head.cid, checkpoint: { e: base.body.e, cid: base.cid } };
	}

	/** Whether a party that says this of itself should be asked for its links. */
	isBehind(theirs: EpochPosition): boolean {
		return !this.#history.has(theirs.e, theirs.cid) && comparePositions(theirs, this.position) > 0;
	}

	/**
	 * Takes a newer charter of the same workload and owner. True when it holds from now on: its terms of admission are as
	 * loose as before, or looser. With tighter terms it holds from the owner's next epoch of its era, which must come with
	 * it: who joins later judges all epochs since the owner's last by the newest charter.
	 */
	takeCharter(charter: CharterOpened): boolean {
		const { body } = charter;
		if (body.wid !== this.#charter.body.wid || !sameBytes(charter.signer, this.#charter.signer))
			throw broken('workload', 'the charter is of another workload or owner');
		const newest = this.#pending ?? this.#charter;
		if (compareCharters(body, newest.body) <= 0) return false;
		const holds = areTermsLooser(this.#charter.body, body) || this.#history.base.body.era >= body.era;
		if (holds) {
			this.#charter = charter;
			this.#pending = undefined;
		} else {
			this.#pending = charter;
		}
		return holds;
	}

	/** Takes links from anybody, oldest first. Throws `unauthorized` (`details.rule` names what is broken) or `invalid_input`. */
	offer(links: readonly EpochLink[], nowMs: number): Offered {
		const records = recordsOf(links);
		const owned = sinceOwner(records, this.#charter.signer);
		if (owned !== undefined && owned[0].cid !== this.#history.base.cid) return this.#offerBase(owned, links, nowMs);
		return this.#offerSteps(owned ?? records, links, nowMs);
	}

	/** The next epoch with these changes. Throws, naming the rule, what no co-signer would sign. */
	draft(changes: readonly EpochChange[], options: EpochDraftOptions): EpochDraft {
		const draft = draftEpoch(this.#view, changes, options);
		// The owner may raise the era; apart from that its epochs keep to the same rules.
		this.#checkNext({ ...draft.body, era: this.#view.body.era }, draft.certs);
		if (draft.body.era < this.#view.body.era) throw broken('era', `era ${draft.body.era} is over`);
		return draft;
	}

	/**
	 * What to sign to agree to the next epoch; `certs`: envelopes that are new in it. Throws `conflict` when it does not
	 * follow this head, else `unauthorized` naming the broken rule. It does not know what its holder has signed already: who
	 * signs two epochs after the same one leaves evidence, see {@link ForkEvidence}. `invalid_input`: the body is none.
	 */
	mayCosign(body: EpochRecord, certs: readonly Uint8Array[], nowMs: number): Uint8Array {
		const bytes = bytesToSign('epoch', body);
		if (Math.abs(nowMs - body.ts) > LIMITS.skewMs)
			throw broken('time', `epoch ${body.e} is ${Math.abs(nowMs - body.ts)} ms off this clock`);
		if (body.prev !== this.#view.cid)
			throw new MeshError(
				'conflict',
				`epoch ${body.e} follows ${body.prev ?? 'nothing'}, but the newest here is ${this.#view.body.e}, ${this.#view.cid}: draft again`,
				{ details: { rule: 'previous' } },
			);
		this.#checkNext(body, certs);
		return bytes;
	}

	get #view(): EpochView {
		return this.#history.head;
	}

	#checkNext(body: EpochRecord, certs: readonly Uint8Array[]): void {
		const charter = this.#charter.body;
		checkEpoch(body, charter);
		checkSuccession(this.#view, body);
		const members = membersOf(body, new CertShelf(this.#history.certs, certs), charter, admittedBy(this.#history.base));
		requireCosignable(this.#history.members, members);
	}

	#offerBase(records: OwnerLed, links: readonly EpochLink[], nowMs: number): Offered {
		const [base, ...rest] = records;
		const before = this.#history;
		if (compareEpochs(base, before.base) < 0) return { type: 'known' };
		const charter = this.#charterOf(base.body.era);
		if (charter === undefined) return { type: 'gap', needs: 'charter' };
		requireNotFuture(records.at(-1) ?? base, nowMs);
		const history = judgeAnew(base, rest, shelfOf(before.certs, links), charter);
		// Where the owner's epoch follows one that is known but not our last, members have lost what came after it.
		const { prev, e } = base.body;
		const isFork = prev !== before.head.cid && prev !== undefined && before.has(e - 1, prev);
		this.#history = history;
		this.#charter = charter;
		if (this.#pending === charter) this.#pending = undefined;
		const change = changeOf(before.members, history.members);
		return isFork ? { type: 'forked', isSwitched: true, evidence: [], ...change } : { type: 'extended', ...change };
	}

	#offerSteps(records: readonly EpochPeek[], links: readonly EpochLink[], nowMs: number): Offered {
		const before = this.#history;
		const last = records.at(-1);
		if (last === undefined || before.has(last.body.e, last.cid)) return { type: 'known' };
		const at = records.findLastIndex(({ body, cid }) => before.has(body.e, cid));
		const rest = records.slice(at + 1);
		const attach = this.#attach(records[at], rest[0]);
		if (attach === undefined) return { type: 'gap', needs: 'links' };
		const shelf = shelfOf(before.certs, links);
		const charter = this.#charter.body;
		const isFork = attach.cid !== before.head.cid;
		if (isFork && compareEpochs(last, before.head) < 0) {
			const evidence = this.#keep(this.#evidenceAt(attach, rest.slice(0, 1), shelf));
			return { type: 'forked', isSwitched: false, evidence, ...NO_CHANGE };
		}
		requireNotFuture(last, nowMs);
		const steps = judgeSteps(attach, rest, shelf, charter);
		const members = membersOf(last.body, shelf, charter, admittedBy(before.base));
		const evidence = isFork ? this.#keep(this.#evidenceAt(attach, rest.slice(0, 1), shelf)) : [];
		this.#history = before.continued(attach.body.e, steps, stateOf(members, shelf));
		const change = changeOf(before.members, members);
		return isFork ? { type: 'forked', isSwitched: true, evidence, ...change } : { type: 'extended', ...change };
	}

	/** The known epoch that offered ones follow. */
	#attach(known: EpochPeek | undefined, first: EpochPeek | undefined): EpochView | undefined {
		if (known !== undefined) return known;
		const { prev, e } = first?.body ?? {};
		if (prev === undefined || e === undefined || !this.#history.has(e - 1, prev)) return undefined;
		if (prev === this.#history.head.cid) return this.#history.head;
		const envelope = this.#history.envelopeAt(e - 1);
		return envelope === undefined ? undefined : peekRecord('epoch', envelope);
	}

	/** Compares the first epoch of another history with ours of the same number. Nothing, unless both are properly signed. */
	#evidenceAt(attach: EpochView, [theirs]: readonly EpochPeek[], shelf: CertShelf): readonly ForkEvidence[] {
		const envelope = this.#history.envelopeAt(attach.body.e + 1);
		if (theirs === undefined || envelope === undefined) return [];
		const evidence = evidenceOf(peekRecord('epoch', envelope), theirs);
		if (evidence.length === 0) return [];
		judgeSteps(attach, [theirs], shelf, this.#charter.body);
		return evidence;
	}

	#keep(evidence: readonly ForkEvidence[]): readonly ForkEvidence[] {
		for (const piece of evidence) {
			const name = Buffer.from(piece.sigKeyId).toString('base64');
			if (this.#evidence.size < EVIDENCE_MAX && !this.#evidence.has(name)) this.#evidence.set(name, piece);
		}
		return evidence;
	}

	/** What an owner's epoch of this era is judged by. */
	#charterOf(era: number): CharterOpened | undefined {
		if (this.#pending !== undefined && era >= this.#pending.body.era)
			return era === this.#pending.body.era ? this.#pending : undefined;
		return era <= this.#charter.body.era || this.#pending !== undefined ? this.#charter : undefined;
	}
}

/** A link to pass on: the draft with the signatures that were gathered. */
export function linkOf({ body, certs }: EpochDraft, signatures: readonly RecordSignature[]): EpochLink {
	return { epoch: assembleRecord('epoch', body, signatures), certs: [...certs] };
}

type OwnerLed = readonly [EpochPeek, ...EpochPeek[]];

function recordsOf(links: readonly EpochLink[]): readonly EpochPeek[] {
	if (links.length > LIMITS.epochLinksMax + 1)
		throw new MeshError('invalid_input', `${links.length} epochs at once are more than ${LIMITS.epochLinksMax + 1}`);
	return links.map(({ epoch }) => peekRecord('epoch', epoch));
}

function shelfOf(known: ReadonlyMap<RecordCid, ReplicaCertRecord>, links: readonly EpochLink[]): CertShelf {
	return new CertShelf(
		known,
		links.flatMap(({ certs }) => certs),
	);
}

/** From the last epoch that claims to be signed by the owner; it makes those before it needless. */
function sinceOwner(records: readonly EpochPeek[], ownerKey: Uint8Array): OwnerLed | undefined {
	const ownerId = keyIdOf(ownerKey);
	const at = records.findLastIndex(({ claims, claimed }) => claims.length === 1 && sameBytes(claimed, ownerId));
	const [base, ...rest] = at < 0 ? [] : records.slice(at);
	return base === undefined ? undefined : [base, ...rest];
}

function judgeAnew(base: EpochPeek, rest: readonly EpochPeek[], shelf: CertShelf, charter: CharterOpened): History {
	judgeOwner(base, charter.body, charter.signer);
	const steps: readonly Step[] = judgeSteps(base, rest, shelf, charter.body);
	const members = membersOf((rest.at(-1) ?? base).body, shelf, charter.body, admittedBy(base));
	return History.of(base, steps, stateOf(members, shelf));
}

function stateOf(members: readonly Member[], shelf: CertShelf) {
	return { members, certOf: (cid: RecordCid) => shelf.proved(cid) };
}

function admittedBy(base: EpochPeek): ReadonlySet<RecordCid> {
	return new Set(base.body.members.map(({ certCid }) => certCid));
}

/** Times ascend along a history, so the last one says it of all. */
function requireNotFuture({ body }: EpochPeek, nowMs: number): void {
	if (body.ts > nowMs + LIMITS.skewMs)
		throw broken('time', `epoch ${body.e} is ${body.ts - nowMs} ms ahead of this clock`);
}

function changeOf(before: readonly Member[], after: readonly Member[]): Change {
	const goneFrom = (from: readonly Member[], to: readonly Member[]): readonly Member[] => {
		const ids = new Set(to.map(({ replicaId }) => replicaId));
		return from.filter(({ replicaId }) => !ids.has(replicaId));
	};
	return { joined: goneFrom(after, before), left: goneFrom(before, after) };
}
