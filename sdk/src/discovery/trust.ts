/**
 * Whom a replica believes: the epochs of its own workload and of those that it meets, and with them who is a member now.
 * What is missing is asked of the host, which passes on what it cannot read or forge.
 */
import { MeshError } from '../errors.ts';
import {
	type CharterOpened,
	EpochChain,
	type Member,
	type Offered,
	type OpenedRecord,
	openReplicaCert,
	peekRecord,
	type Roster,
	requireValid,
	sameBytes,
} from '../identity/index.ts';
import {
	type EpochLink,
	LIMITS,
	type MachineId,
	type RecordCid,
	type ReplicaCert,
	type SlotGen,
	type WorkloadId,
} from '../wire/index.ts';

export interface TrustOptions {
	/** Public key of our owner: nobody else's workloads exist for us. */
	readonly owner: Uint8Array;
	/** Rosters of a workload from wherever they can be had; each is checked. */
	readonly find: (wid: WorkloadId) => Promise<readonly Roster[]>;
	/** Verifies a charter of our owner. */
	readonly openCharter: (envelope: Uint8Array) => CharterOpened;
	/** Whether the mesh has put a machine out: then what runs there is no member of anything. Default: none is. */
	readonly isRevoked?: (machineId: MachineId) => boolean;
	readonly nowMs?: () => number;
}

/**
 * A replica that a newer one displaced hands over before it goes: its sessions stay this long. One that was not there when
 * it was displaced has nothing to hand over, and one that was put out, with nobody in its place, has no such time.
 */
const OUTGOING_MS = 60_000;
/** Between two searches for the roster of one workload: strangers must not make us ask for ever. */
const FIND_EVERY_MS = 250;
const CHAINS_MAX = 256;

export class Trust {
	readonly #options: TrustOptions;
	readonly #chains = new Map<WorkloadId, EpochChain>();
	readonly #outgoing = new Map<RecordCid, number>();
	readonly #listeners = new Set<(wid: WorkloadId) => void>();
	readonly #finding = new Map<WorkloadId, { readonly found: Promise<void>; readonly atMs: number }>();
	readonly #nowMs: () => number;
	readonly #isRevoked: (machineId: MachineId) => boolean;

	constructor(options: TrustOptions) {
		this.#options = options;
		this.#nowMs = options.nowMs ?? Date.now;
		this.#isRevoked = options.isRevoked ?? (() => false);
	}

	/** Whether a replica is there, to hand over when it is displaced. Set by whoever keeps sessions. */
	isHere: (wid: WorkloadId, at: SlotGen) => boolean = () => true;

	chain(wid: WorkloadId): EpochChain | undefined {
		return this.#chains.get(wid);
	}

	/** The members of a workload have changed. */
	onChange(listener: (wid: WorkloadId) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** Takes what somebody says of a workload. Throws `unauthorized` or `invalid_input`; then nothing has changed. */
	learn({ charter: envelope, links }: Roster): Offered | undefined {
		const charter = this.#options.openCharter(envelope);
		const { wid } = charter.body;
		const known = this.#chains.get(wid);
		if (known === undefined) {
			if (this.#chains.size >= CHAINS_MAX) throw new MeshError('exhausted', 'too many workloads to keep track of');
			const chain = EpochChain.from(charter, links, this.#nowMs());
			this.#chains.set(wid, chain);
			this.#noteOutgoing(chain.linksSince(-1));
			return undefined;
		}
		known.takeCharter(charter);
		return this.offer(wid, links);
	}

	/** Takes links of a workload whose chain is known. */
	offer(wid: WorkloadId, links: readonly EpochLink[]): Offered {
		const chain = this.#chains.get(wid);
		if (chain === undefined) throw new MeshError('not_found', `nothing is known of the members of ${wid}`);
		const offered = chain.offer(links, this.#nowMs());
		// A history that lost tells nobody anything: sessions are looked at again after each change, and what their replicas
		// showed is offered again.
		if (offered.type !== 'extended' && !(offered.type === 'forked' && offered.isSwitched)) return offered;
		const untilMs = this.#nowMs() + OUTGOING_MS;
		for (const { certCid, slot, gen } of offered.left) {
			const successor = chain.head.members.find((member) => member.slot === slot);
			if (successor !== undefined && successor.gen >= gen && this.isHere(wid, { slot, gen }))
				this.#outgoing.set(certCid, untilMs);
		}
		for (const [cid, until] of this.#outgoing) if (until < this.#nowMs()) this.#outgoing.delete(cid);
		for (const listener of [...this.#listeners]) listener(wid);
		return offered;
	}

	/** A member by what is known now; one on its way out counts. */
	memberOf({ body, cid }: OpenedRecord<'replica-cert'>): boolean {
		return this.#memberBy(body) !== undefined || (this.isOutgoing({ cid }) && this.#holds(body));
	}

	/** Displaced by a successor a short while ago, and handing over. */
	isOutgoing(cert: Pick<OpenedRecord<'replica-cert'>, 'cid'>): boolean {
		return (this.#outgoing.get(cert.cid) ?? 0) > this.#nowMs();
	}

	/** Whether a replica of a workload that is known is no member of it, nor on its way out. */
	isOut(cert: ReplicaCert, cid: RecordCid): boolean {
		if (!this.#chains.has(cert.wid)) return false;
		return this.#memberBy(cert) === undefined && !(this.isOutgoing({ cid }) && this.#holds(cert));
	}

	/**
	 * Verifies that a certificate is a member's; `links` came with it. Looks for what is missing. Returns the member's
	 * newest certificate: one of the same key that has been renewed since still names its replica. Throws `unauthorized`,
	 * `invalid_input`.
	 */
	async require(envelope: Uint8Array, links: readonly EpochLink[] = []): Promise<OpenedRecord<'replica-cert'>> {
		const cert = openReplicaCert(envelope);
		const { wid, slot, gen, name, machineId } = cert.body;
		if (this.#isRevoked(machineId))
			throw new MeshError('unauthorized', `the replica runs on machine ${machineId}, which the mesh has revoked`);
		const now = (): OpenedRecord<'replica-cert'> | undefined => {
			const member = this.#memberBy(cert.body);
			if (member !== undefined) return openReplicaCert(member.envelope);
			return this.memberOf(cert) ? cert : undefined;
		};
		let found = now();
		if (found === undefined && links.length > 0 && this.#chains.has(wid)) {
			this.#tryOffer(
				wid,
				links.map((link) => ({ epoch: link.epoch, certs: [...link.certs, envelope] })),
			);
			found = now();
		}
		if (found === undefined) {
			await this.#find(wid);
			found = now();
		}
		if (found !== undefined) return found;
		this.#requireOurs(cert);
		const head = this.#chains.get(wid)?.head;
		throw new MeshError(
			'unauthorized',
			`slot ${slot} generation ${gen} is no member of ${name}${head === undefined ? '' : ` in epoch ${head.e}`}`,
			{ details: { rule: 'member' } },
		);
	}

	/** The member with this replica's key, when its newest certificate holds now. */
	#memberBy({ wid, replicaId, sigKey }: ReplicaCert): Member | undefined {
		const member = this.#chains.get(wid)?.member(replicaId);
		return member !== undefined && sameBytes(member.cert.sigKey, sigKey) && this.#holds(member.cert)
			? member
			: undefined;
	}

	#holds({ nbf, exp, machineId }: ReplicaCert): boolean {
		const nowMs = this.#nowMs();
		return nowMs + LIMITS.skewMs >= nbf && nowMs <= exp && !this.#isRevoked(machineId);
	}

	/** Looks for what is missing of a workload. */
	refresh(wid: WorkloadId): Promise<void> {
		return this.#find(wid);
	}

	/** What came along may lack something that others have. */
	#tryOffer(wid: WorkloadId, links: readonly EpochLink[]): void {
		try {
			this.offer(wid, links);
		} catch {
			// Then it is looked for.
		}
	}

	/** Who is in, by what is known now. */
	members(wid: WorkloadId): readonly Member[] {
		return this.#chains.get(wid)?.head.members ?? [];
	}

	/** A newcomer has seen nobody go: who was displaced a moment before it came is in the epochs that it was given. */
	#noteOutgoing(links: readonly EpochLink[]): void {
		const bodies = links.map(({ epoch }) => peekRecord('epoch', epoch).body);
		for (const [i, next] of bodies.entries()) {
			const untilMs = next.ts + OUTGOING_MS;
			if (i === 0 || untilMs < this.#nowMs()) continue;
			for (const { slot, gen, certCid } of bodies[i - 1]?.members ?? []) {
				const successor = next.members.find((member) => member.slot === slot);
				if (successor !== undefined && successor.gen > gen) this.#outgoing.set(certCid, untilMs);
			}
		}
	}

	#requireOurs({ body }: OpenedRecord<'replica-cert'>): void {
		requireValid('the certificate', body, this.#nowMs());
		if (body.exp - body.nbf > LIMITS.certTtlMsMax)
			throw new MeshError('unauthorized', 'the certificate lives longer than a day');
	}

	/** One search at a time for each workload, and not more often than that is useful. */
	#find(wid: WorkloadId): Promise<void> {
		const known = this.#finding.get(wid);
		if (known !== undefined && this.#nowMs() < known.atMs + FIND_EVERY_MS) return known.found;
		const found = this.#search(wid);
		if (this.#finding.size >= CHAINS_MAX) this.#finding.clear();
		this.#finding.set(wid, { found, atMs: this.#nowMs() });
		return found;
	}

	async #search(wid: WorkloadId): Promise<void> {
		for (const roster of await this.#options.find(wid)) {
			try {
				// Somebody may answer for another workload than was asked for.
				if (peekRecord('charter', roster.charter).body.wid === wid) this.learn(roster);
			} catch {
				// What one host passes on proves nothing of what others do.
			}
		}
	}
}

/** Throws `unauthorized` unless the charter is signed by this owner. */
export function requireOwner(charter: CharterOpened, owner: Uint8Array): void {
	if (!sameBytes(charter.signer, owner)) throw new MeshError('unauthorized', 'this workload belongs to another owner');
}
