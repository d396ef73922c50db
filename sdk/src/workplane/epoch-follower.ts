/**
 * What follows from a new epoch: sessions with those who are out end, the group key is the epoch's, and a replica that is
 * out itself leaves.
 */
import type { Directory, NetworkEnd, Trust } from '../discovery/index.ts';
import type { OpenedRecord } from '../identity/index.ts';
import type { Logger } from '../telemetry/index.ts';
import type { WorkloadId } from '../wire/index.ts';
import type { Secrets } from './secrets.ts';

/** Longer than a displaced member may stay: then whoever still has a session loses it. */
const AGAIN_MS = 61_000;
const KEY_CALL_MS = 2_000;
const KEY_AGAIN_MS = 1_000;

export interface EpochFollowerOptions {
	readonly trust: Trust;
	readonly directory: Directory;
	readonly network: NetworkEnd;
	readonly secrets: Secrets;
	readonly cert: OpenedRecord<'replica-cert'>;
	readonly onOut: () => void;
	readonly onChange: () => void;
	/** The newest epoch is known, and its key. */
	readonly onCurrent: () => void;
	readonly log: Logger;
}

export class EpochFollower {
	readonly #options: EpochFollowerOptions;
	readonly #listening: Disposable;
	#recheck: NodeJS.Timeout | undefined;
	#key: NodeJS.Timeout | undefined;
	#closed = false;

	constructor(options: EpochFollowerOptions) {
		this.#options = options;
		this.#listening = options.trust.onChange((wid) => this.#onChange(wid));
		void this.#followKey();
	}

	close(): void {
		this.#closed = true;
		this.#listening[Symbol.dispose]();
		clearTimeout(this.#recheck);
		clearTimeout(this.#key);
	}

	#onChange(wid: WorkloadId): void {
		const { cert, trust, onOut, onChange } = this.#options;
		this.recheck();
		if (wid !== cert.body.wid) return;
		clearTimeout(this.#recheck);
		this.#recheck = setTimeout(() => this.recheck(), AGAIN_MS);
		void this.#followKey();
		const own = trust.chain(wid)?.member(cert.body.replicaId);
		if (own === undefined && !trust.isOutgoing(cert)) onOut();
		else onChange();
	}

	/** Ends the sessions of those who are out. */
	recheck(): void {
		const { directory, network, trust, log } = this.#options;
		if (this.#closed) return;
		network.recheck();
		for (const session of directory.node.sessions()) {
			const { cert, advertisement } = session.principal;
			if (trust.isOut(cert, advertisement.certCid)) {
				log.info('session ended: its replica is no member any more', { replicaId: cert.replicaId });
				void session.close('no member of the workload any more');
			}
		}
	}

	/** The key of an epoch that others made is with them. */
	async #followKey(): Promise<void> {
		const { trust, directory, secrets, cert, onCurrent, log } = this.#options;
		clearTimeout(this.#key);
		const { head } = trust.chain(cert.body.wid) ?? {};
		if (this.#closed || head === undefined) return;
		if (secrets.follow(head.body.groupKeyCommit)) return onCurrent();
		for (const { replicaId } of head.members) {
			try {
				const answer = await directory.member(replicaId)?.groupKey({}, { timeout: KEY_CALL_MS });
				if (answer === undefined) continue;
				secrets.prepare(answer.groupKey);
				if (secrets.follow(head.body.groupKeyCommit)) return onCurrent();
			} catch (error) {
				log.debug('no group key from this member', { replicaId, error });
			}
		}
		if (!this.#closed) this.#key = setTimeout(() => void this.#followKey(), KEY_AGAIN_MS);
	}
}
