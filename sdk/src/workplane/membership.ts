/**
 * Changes a workload's membership for its members: drafts the next epoch, gathers the signatures that it takes, makes it
 * final, and tells the others. Everybody who signs has checked the change for itself.
 */
import type { CosignPapers, Directory, Trust } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import {
	createGroupKey,
	type EpochChain,
	type EpochChange,
	type EpochDraft,
	groupKeyCommit,
	linkOf,
	type NodeKeys,
	type OpenedMachine,
	openAdmission,
	openReplicaCert,
	peekRecord,
	type RecordSignature,
	renewOwn,
	requireAsRequested,
	requireCheckpoint,
	requireSelected,
	sealAdmission,
	signRecordPart,
} from '../identity/index.ts';
import type { Logger } from '../telemetry/index.ts';
import {
	type EpochLink,
	type EpochRecord,
	encodeRecord,
	LIMITS,
	type Manifest,
	type RecordCid,
	type ReplicaCert,
	type ReplicaId,
	type SlotGen,
	type WorkloadId,
} from '../wire/index.ts';
import type { Secrets } from './secrets.ts';

/** Time for another member to check a change and sign it. */
const COSIGN_MS = 2_000;
/** How often members are heeded that speak of another change: one that always does must not keep us from healing. */
const OBJECTIONS_MAX = 2;
/**
 * What is known of the members, as it is told to a newcomer. Above it nobody is admitted: one more epoch of 1,024 members
 * has less than 400 KiB with the certificates of 16 signers, and what members are told must fit into one message.
 */
const HISTORY_BYTES_MAX = LIMITS.admissionBytesMax - 512 * 1024;
/** Whoever reads logs hears of a long history this often. */
const WARN_EVERY_MS = 3_600_000;
/** Of a certificate's life, after which it is renewed: early, where another member makes an epoch for its own anyway. */
const RENEW_AT = { due: 0.5, early: 0.25 } as const;
const RENEWALS_MAX = 16;
/** With its certificates an epoch must fit into an entry of the log; 16 signatures have 54 KiB. */
const LINK_BYTES_MAX = LIMITS.epochBytesMax - 72 * 1024;

export type MembershipChange =
	| { readonly type: 'admit'; readonly cert: ReplicaCert }
	| ({ readonly type: 'remove' } & SlotGen)
	| { readonly type: 'renew' }
	/** The owner's: nothing changes. */
	| { readonly type: 'checkpoint' };

export interface MembershipOptions {
	readonly wid: WorkloadId;
	readonly keys: NodeKeys;
	readonly trust: Trust;
	readonly directory: Directory;
	readonly secrets: Secrets;
	/** Verifies the credential of a machine of our mesh. */
	readonly machine: (credential: Uint8Array) => OpenedMachine;
	/** What the charter's pods run, newest first: a newcomer of anything else is not admitted. */
	readonly manifests: () => ReadonlyMap<RecordCid, Manifest>;
	/** Makes an epoch final where something must agree first, as a Raft majority does. Absent: it is at once. */
	readonly commit: ((change: MembershipChange, link: EpochLink) => Promise<void>) | undefined;
	/** Leaves what is known of the members with our host, for members that we cannot tell. */
	readonly keep: () => Promise<void>;
	readonly log: Logger;
	/** @default 3.5 MiB, with which an answer to a newcomer is sure to fit into one message */
	readonly historyBytesMax?: number;
	/** How long another member's change is waited for. @default 2 s, after which its signers sign another */
	readonly othersMs?: number;
}

export class MembershipOffice {
	readonly #options: MembershipOptions;
	/** Our own signature binds us: one epoch after each, until it is known to have failed. */
	#signed: { readonly after: RecordCid; readonly body: EpochRecord } | undefined;
	#changing: Promise<unknown> = Promise.resolve();
	#warnedAtMs = Number.NEGATIVE_INFINITY;

	constructor(options: MembershipOptions) {
		this.#options = options;
	}

	/**
	 * Admits a newcomer; resolves with the answer that only it can open. Throws `unauthorized`, `no_quorum`, `conflict`, and
	 * `exhausted` when there are too many epochs since the owner's last: then nobody has signed anything.
	 */
	async admit(papers: CosignPapers): Promise<Uint8Array> {
		const cert = this.#newcomer(papers);
		await this.#change({ type: 'admit', cert }, { type: 'admit', cert: papers.cert }, papers);
		return this.#answerTo(cert.kemKey);
	}

	/** What we would be told if we were admitted now, for our next start. */
	ownAdmission(): Uint8Array {
		return this.#answerTo(this.#options.keys.kem.publicKey);
	}

	/** What a member is told when it is admitted. */
	#answerTo(kemKey: Uint8Array): Uint8Array {
		const { psk, tenderSecret, groupKey } = this.#options.secrets.current;
		return sealAdmission({ links: [...this.#chain.linksSince(-1)], psk, groupKey, tenderSecret }, kemKey);
	}

	/** Puts a member out; nobody takes its place. Its sessions end at once, after `farewell`. Done already: nothing happens. */
	async remove({ slot, gen }: SlotGen, farewell?: () => Promise<unknown>): Promise<void> {
		const change = { type: 'remove', slot, gen } as const;
		await this.#change(change, change, undefined, farewell);
	}

	/**
	 * Takes an epoch of the owner's that changes nothing, as one more epoch: what was before it need not be told any more.
	 * Throws `conflict` when members have gone further since the owner looked, and `unauthorized`.
	 */
	checkpoint(link: EpochLink): Promise<void> {
		return this.#inTurn(async () => {
			const { trust, wid, commit, log } = this.#options;
			const chain = this.#chain;
			if (peekRecord('epoch', link.epoch).cid === chain.checkpoint.cid) return;
			requireCheckpoint(chain, link, Date.now());
			await commit?.({ type: 'checkpoint' }, link);
			trust.offer(wid, [link]);
			log.info('the owner has confirmed the members', { e: chain.head.e, members: chain.head.members.length });
		});
	}

	/** Renews our own certificate when half of its life is over, and others' with it. True when it was. */
	renewWhenDue(nowMs: number): Promise<boolean> {
		if (this.renewal(nowMs, 'due') === undefined) return Promise.resolve(false);
		return this.#inTurn(async () => {
			// Another member's epoch may have renewed it by now.
			const cert = this.renewal(nowMs, 'due');
			if (cert === undefined) return false;
			await this.#changeNow({ type: 'renew' }, [{ type: 'renew', cert }, ...(await this.#renewalsOfOthers(cert))]);
			return true;
		});
	}

	/** Our certificate anew; undefined while it is too early for that. */
	renewal(nowMs: number, when: keyof typeof RENEW_AT): Uint8Array | undefined {
		const own = this.#chain.member(this.#options.keys.peer.peerId as ReplicaId);
		if (own === undefined) return undefined;
		const { nbf, exp } = own.cert;
		if (nowMs < nbf + (exp - nbf) * RENEW_AT[when]) return undefined;
		return renewOwn(this.#chain.charter.body, own.cert, this.#options.keys.signer, nowMs);
	}

	/** An epoch for each would make the history long. What one member answers does not keep the others' out. */
	async #renewalsOfOthers(own: Uint8Array): Promise<EpochChange[]> {
		const { directory, keys, log } = this.#options;
		const asked = this.#chain.head.members.map(async ({ replicaId }) => {
			const caller = replicaId === keys.peer.peerId ? undefined : directory.member(replicaId);
			const { cert } = (await caller?.renewal({}, { timeout: COSIGN_MS })) ?? {};
			return cert === undefined || openReplicaCert(cert).body.replicaId !== replicaId ? undefined : cert;
		});
		const chain = this.#chain;
		const tsMs = Math.max(Date.now(), chain.head.body.ts);
		const edits: EpochChange[] = [];
		let bytes = encodeRecord(chain.head.body).byteLength + own.byteLength;
		for (const answer of await Promise.allSettled(asked)) {
			if (answer.status === 'rejected') log.debug('a member has not renewed', { error: answer.reason as Error });
			if (answer.status === 'rejected' || answer.value === undefined) continue;
			const edit: EpochChange = { type: 'renew', cert: answer.value };
			bytes += answer.value.byteLength;
			if (bytes > LINK_BYTES_MAX || edits.length + 2 > RENEWALS_MAX) break;
			try {
				const key = groupKeyCommit(createGroupKey());
				chain.draft([edit, ...this.#removals(tsMs, [edit])], { tsMs, groupKeyCommit: key });
				edits.push(edit);
			} catch (error) {
				log.debug('the renewed certificate of a member does not hold', { error });
			}
		}
		return edits;
	}

	/** Signs another member's change, after checking it. */
	cosign(body: EpochRecord, certs: readonly Uint8Array[], papers: CosignPapers | undefined): RecordSignature {
		this.#chain.mayCosign(body, certs, Date.now());
		const joining = this.#joining(body);
		for (const certCid of joining) {
			if (papers === undefined || openReplicaCert(papers.cert).cid !== certCid)
				throw new MeshError('unauthorized', 'a newcomer comes without its papers');
			this.#newcomer(papers);
		}
		return this.#sign(body);
	}

	get #chain(): EpochChain {
		const chain = this.#options.trust.chain(this.#options.wid);
		if (chain === undefined) throw new MeshError('internal', 'the members of our own workload are not known');
		return chain;
	}

	/**
	 * A member that has been away for so long that its certificate is over must not keep the others from changing anything:
	 * it goes with these changes, unless they are about its slot.
	 */
	#removals(tsMs: number, edits: readonly EpochChange[]): EpochChange[] {
		const slots = new Set(
			edits.map((edit) => (edit.type === 'remove' ? edit.slot : peekRecord('replica-cert', edit.cert).body.slot)),
		);
		return this.#chain
			.expiredAt(tsMs)
			.filter(({ slot }) => !slots.has(slot))
			.map(({ slot, gen }) => ({ type: 'remove', slot, gen }));
	}

	/** Certificates in this epoch of replicas that are in no epoch before it. */
	#joining(body: EpochRecord): RecordCid[] {
		const known = new Set(this.#chain.head.body.members.map(({ sigKeyId }) => Buffer.from(sigKeyId).toString('hex')));
		return body.members
			.filter(({ sigKeyId }) => !known.has(Buffer.from(sigKeyId).toString('hex')))
			.map(({ certCid }) => certCid);
	}

	/** Checks a newcomer's papers: request, host's statement, machine, and that it runs what the owner chartered where the owner wants it. */
	#newcomer(papers: CosignPapers) {
		const machine = this.#options.machine(papers.credential);
		const { csr, statement } = openAdmission(papers.csr, papers.statement, machine);
		const cert = openReplicaCert(papers.cert);
		const { machineId, manifestCid } = statement.body;
		requireAsRequested(cert, csr, { machineId, manifestCid });
		const manifest = this.#options.manifests().get(manifestCid);
		if (manifest === undefined)
			throw new MeshError('unauthorized', 'the host says that it runs something else than the charter names');
		requireSelected(manifest, machine);
		return cert.body;
	}

	/** One change at a time. */
	#change(
		change: MembershipChange,
		edit: EpochChange,
		papers?: CosignPapers,
		beforeKnown?: () => Promise<unknown>,
	): Promise<void> {
		return this.#inTurn(() => this.#changeNow(change, [edit], papers, beforeKnown));
	}

	#inTurn<T>(act: () => Promise<T>): Promise<T> {
		const acting = this.#changing.then(act);
		this.#changing = acting.catch(() => undefined);
		return acting;
	}

	async #changeNow(
		change: MembershipChange,
		edits: readonly EpochChange[],
		papers?: CosignPapers,
		beforeKnown?: () => Promise<unknown>,
	): Promise<void> {
		for (let objections = 0; ; objections++) {
			const isLast = objections === OBJECTIONS_MAX;
			const { cid } = this.#chain.head;
			try {
				return await this.#tryChange(change, edits, papers, beforeKnown, isLast);
			} catch (error) {
				if (isLast || !isMeshError(error, 'conflict')) throw error;
				this.#options.log.debug('another change goes first', { error });
				await this.#afterAnother(cid);
			}
		}
	}

	/** Resolves when the change that goes first, after this epoch, is known or should have been. */
	async #afterAnother(cid: RecordCid): Promise<void> {
		const { trust, wid, othersMs = COSIGN_MS } = this.#options;
		if (this.#chain.head.cid !== cid) return;
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, othersMs);
		const listening = trust.onChange((changed) => changed === wid && resolve());
		await promise;
		clearTimeout(timer);
		listening[Symbol.dispose]();
	}

	async #tryChange(
		change: MembershipChange,
		edits: readonly EpochChange[],
		papers: CosignPapers | undefined,
		beforeKnown: (() => Promise<unknown>) | undefined,
		isHeadstrong: boolean,
	): Promise<void> {
		const { trust, wid, secrets, commit, keep, log } = this.#options;
		const chain = this.#chain;
		// Asked again after an answer was lost: it is in already.
		if (change.type === 'admit' && chain.member(change.cert.replicaId) !== undefined) return;
		if (change.type === 'admit') this.#requireRoom(chain);
		const holds = ({ slot, gen }: SlotGen): boolean =>
			chain.head.members.some((member) => member.slot === slot && member.gen === gen);
		if (change.type === 'remove' && !holds(change)) {
			await beforeKnown?.();
			return;
		}
		const groupKey = createGroupKey();
		const tsMs = Math.max(Date.now(), chain.head.body.ts);
		const draft = chain.draft([...edits, ...this.#removals(tsMs, edits)], {
			tsMs,
			groupKeyCommit: groupKeyCommit(groupKey),
		});
		const signed = this.#signed;
		let signatures: readonly RecordSignature[];
		try {
			signatures = await this.#gather(chain, draft, papers, isHeadstrong);
		} catch (error) {
			// Nobody has seen our signature.
			if (this.#signed?.body === draft.body) this.#signed = signed;
			throw error;
		}
		const link = linkOf(draft, signatures);
		// Known before it counts, so that whoever hears of the epoch can ask for its key.
		secrets.prepare(groupKey);
		await commit?.(change, link);
		await beforeKnown?.().catch((error) => log.debug('not told before it was put out', { error }));
		trust.offer(wid, [link]);
		log.info('membership changed', { e: draft.body.e, members: draft.body.members.length });
		if (commit === undefined) await keep();
		this.#warnWhenLong(chain);
	}

	/** A member that cannot be told so would be worse than none. */
	#requireRoom({ sizeBytes, checkpoint, charter }: EpochChain): void {
		const { historyBytesMax = HISTORY_BYTES_MAX } = this.#options;
		if (sizeBytes <= historyBytesMax) return;
		throw new MeshError(
			'exhausted',
			`nobody can be admitted to ${charter.body.name}: what is to be told of its members since epoch ${checkpoint.e}, the owner's last, has ${sizeBytes} bytes of ${historyBytesMax}; its owner makes it short with \`beectl apply\` of the same manifest`,
			{ retryable: false },
		);
	}

	#warnWhenLong({ sizeBytes, charter }: EpochChain): void {
		const { historyBytesMax = HISTORY_BYTES_MAX, log } = this.#options;
		const nowMs = performance.now();
		if (sizeBytes < historyBytesMax / 2 || nowMs < this.#warnedAtMs + WARN_EVERY_MS) return;
		this.#warnedAtMs = nowMs;
		const percent = Math.floor((sizeBytes / historyBytesMax) * 100);
		log.warn(
			`the history of the members of ${charter.body.name} is ${percent} % of what may be; when it is full, lost replicas are not replaced. Its owner makes it short with \`beectl apply\` of the same manifest`,
			{ sizeBytes, historyBytesMax },
		);
	}

	/**
	 * Asks every member that we have a session with. Where the charter takes fewer signatures than a majority, two members
	 * could make two epochs after the same one: then nobody must know of another, unless `isHeadstrong`, and of those who
	 * cannot be asked no host. Throws `conflict`, `no_quorum`.
	 */
	async #gather(
		chain: EpochChain,
		draft: EpochDraft,
		papers: CosignPapers | undefined,
		isHeadstrong: boolean,
	): Promise<RecordSignature[]> {
		const { keys, trust, wid, directory, log } = this.#options;
		const needed = chain.signaturesNeeded;
		const self = keys.peer.peerId as ReplicaId;
		const signatures = chain.member(self) === undefined ? [] : [this.#sign(draft.body)];
		const others = chain.head.members.filter(({ replicaId }) => replicaId !== self);
		const asked = others.map(async ({ replicaId }) => {
			const caller = directory.member(replicaId);
			if (caller === undefined) throw new MeshError('unavailable', `${replicaId} is not connected`);
			const { k, s } = await caller.cosign(
				{ epoch: draft.body, certs: [...draft.certs], ...(papers === undefined ? {} : { papers: { ...papers } }) },
				{ timeout: COSIGN_MS },
			);
			return { k, s };
		});
		const isExclusive = needed * 2 > chain.head.members.length;
		let isSomebodyMissing = false;
		for (const answer of await Promise.allSettled(asked)) {
			if (answer.status === 'fulfilled') {
				if (signatures.length < needed) signatures.push(answer.value);
				continue;
			}
			const error = answer.reason as Error;
			log.debug('a member did not sign', { error });
			if (!isExclusive && !isHeadstrong && isMeshError(error, 'conflict')) throw error;
			isSomebodyMissing = true;
		}
		if (!isExclusive) {
			if (isSomebodyMissing) await trust.refresh(wid).catch((error) => log.debug('no host can be asked', { error }));
			if (chain.head.cid !== draft.body.prev)
				throw new MeshError('conflict', `another member has made epoch ${draft.body.e} meanwhile`);
		}
		if (signatures.length < needed) {
			throw new MeshError(
				'no_quorum',
				`epoch ${draft.body.e} takes the signatures of ${needed} members; ${signatures.length} could be had`,
			);
		}
		return signatures;
	}

	#sign(body: EpochRecord): RecordSignature {
		const after = body.prev as RecordCid;
		const nowMs = Date.now();
		const isBusy =
			this.#signed !== undefined &&
			this.#signed.after === after &&
			nowMs < this.#signed.body.ts + COSIGN_MS &&
			this.#signed.body.ts !== body.ts;
		if (isBusy) throw new MeshError('conflict', `another change after epoch ${body.e - 1} is under way`);
		this.#signed = { after, body };
		return signRecordPart('epoch', body, this.#options.keys.signer);
	}
}
