/**
 * Reads a workload's membership as any replica of the owner can: rosters that hosts pass on, verified from the charter.
 * It holds the owner's public key and the pre-shared key of its sessions, nothing that could sign.
 */
import {
	type CharterOpened,
	EpochChain,
	openBundle,
	openOwnedCharter,
	peekRecord,
} from '../../sdk/src/identity/index.ts';
import type { EpochRecord, RecordCid } from '../../sdk/src/wire/index.ts';
import { connectHost } from '../../sdk/src/workplane/host.ts';
import { findRosters } from '../../sdk/src/workplane/rosters.ts';

export interface ObserverOptions {
	/** Public key. */
	readonly owner: Uint8Array;
	readonly psk: Uint8Array;
}

export interface Observed {
	readonly name: string;
	readonly epochs: number;
	/** Epochs that some host passed on and that do not hold in the end. */
	readonly overruled: number;
	/** (slot, generation) pairs that two keys have had, in any epoch that was seen. */
	readonly duplicates: readonly string[];
	/** Epochs with more members than the charter lets in. */
	readonly beyondMax: readonly string[];
	/** Whether all rosters now end in one epoch. */
	readonly isAgreed: boolean;
	readonly members: readonly { readonly slot: number; readonly gen: number; readonly replicaId: string }[];
	readonly historyBytes: number;
}

export class Observer {
	readonly #options: ObserverOptions;
	readonly #name: string;
	#charter: CharterOpened | undefined;
	#chain: EpochChain | undefined;
	readonly #seen = new Map<RecordCid, EpochRecord>();
	#heads = new Set<RecordCid>();

	constructor(name: string, options: ObserverOptions) {
		this.#name = name;
		this.#options = options;
	}

	/** Takes what all hosts know now; `socket`: of a pod of the workload. */
	async look(socket: string): Promise<void> {
		const { owner, psk } = this.#options;
		await using host = await connectHost(socket, AbortSignal.timeout(2000));
		if (this.#charter === undefined) {
			const { bundle } = await host.calls.context({}, { timeout: 2000 });
			this.#charter = openOwnedCharter(openBundle(bundle, Date.now()).bundle.charter, owner, Date.now());
		}
		const heads = new Set<RecordCid>();
		for (const { links } of await findRosters(host, this.#charter.body.wid, psk)) {
			if (this.#chain === undefined) this.#chain = EpochChain.from(this.#charter, links, Date.now());
			else this.#chain.offer(links, Date.now());
			for (const [i, { epoch }] of links.entries()) {
				const { cid, body } = peekRecord('epoch', epoch);
				this.#seen.set(cid, body);
				if (i === links.length - 1) heads.add(cid);
			}
		}
		if (heads.size > 0) this.#heads = heads;
	}

	report(): Observed {
		const chain = this.#chain;
		const charter = this.#charter;
		if (chain === undefined || charter === undefined) throw new Error(`nothing was seen of ${this.#name}`);
		const final = new Set(chain.linksSince(-1).map(({ epoch }) => peekRecord('epoch', epoch).cid));
		const keys = new Map<string, Set<string>>();
		const beyondMax: string[] = [];
		const max = Math.min(charter.body.replicas, charter.body.slotsMax);
		for (const { e, members } of this.#seen.values()) {
			if (members.length > max) beyondMax.push(`${this.#name} epoch ${e}: ${members.length} members of ${max}`);
			for (const { slot, gen, sigKeyId } of members) {
				const at = `${this.#name} slot ${slot} generation ${gen}`;
				keys.set(at, (keys.get(at) ?? new Set()).add(Buffer.from(sigKeyId).toString('hex')));
			}
		}
		return {
			name: this.#name,
			epochs: final.size,
			overruled: [...this.#seen.keys()].filter((cid) => !final.has(cid)).length,
			duplicates: [...keys].filter(([, holders]) => holders.size > 1).map(([at]) => at),
			beyondMax,
			isAgreed: this.#heads.size === 1 && this.#heads.has(chain.head.cid),
			members: chain.head.members.map(({ slot, gen, replicaId }) => ({ slot, gen, replicaId })),
			historyBytes: chain.sizeBytes,
		};
	}
}
