/** Leaves a workload's roster with the host, for others to check its members, and finds those that others have left. */
import type { Trust } from '../discovery/index.ts';
import { type EpochChain, openRoster, type Roster, sealRoster } from '../identity/index.ts';
import type { Logger } from '../telemetry/index.ts';
import type { WorkloadId } from '../wire/index.ts';
import type { PodHost } from './host.ts';
import { Spaced } from './spaced.ts';

const FIND_MS = 3_000;
/** Changes in quick succession are left with the host once. */
const SOON_MS = 200;
const MIB = 2 ** 20;
/** Some seconds at the most: what hosts keep is for newcomers, who hear the rest from members, and for the owner, who looks again. */
const SPACING_MS_PER_MIB = 2_000;

/** Rosters of a workload that hosts know of; those that are none of it are left out. */
export async function findRosters(host: PodHost, wid: WorkloadId, psk: Uint8Array): Promise<Roster[]> {
	const { sealed } = await host.calls.rosters({ wid }, { timeout: FIND_MS });
	return sealed.flatMap((bytes) => {
		try {
			return [openRoster(psk, wid, bytes)];
		} catch {
			return [];
		}
	});
}

export interface RosterOptions {
	readonly host: PodHost;
	readonly trust: Trust;
	readonly wid: WorkloadId;
	readonly psk: () => Uint8Array;
	readonly charter: () => Uint8Array;
	readonly log: Logger;
}

/** Leaves the newest roster with the host, whenever it changes, and when the host is back. */
export class RosterKeeper {
	readonly #options: RosterOptions;
	readonly #keeping: Spaced;
	readonly #listening: Disposable;

	constructor(options: RosterOptions) {
		this.#options = options;
		const { trust, wid } = options;
		this.#keeping = new Spaced({
			act: () => this.#keep(),
			soonMs: SOON_MS,
			spacingMs: () => historySpacingMs(trust.chain(wid)),
		});
		this.#listening = trust.onChange((changed) => changed === wid && this.soon());
		this.soon();
	}

	soon(): void {
		this.#keeping.ask();
	}

	close(): void {
		this.#keeping.close();
		this.#listening[Symbol.dispose]();
	}

	/** Before others are met, who may know nothing of us yet. */
	keepNow(): Promise<void> {
		return this.#keeping.now();
	}

	async #keep(): Promise<void> {
		const { host, trust, wid, psk, charter, log } = this.#options;
		try {
			const links = trust.chain(wid)?.linksSince(-1) ?? [];
			const sealed = sealRoster(psk(), wid, { charter: charter(), links });
			// Beyond this only members with a session help each other.
			if (sealed === undefined) return;
			await host.calls.keepRoster({ sealed });
		} catch (error) {
			log.debug('the host does not keep our roster', { error });
		}
	}
}

/**
 * Between two times that all of a history is passed on or written: members tell each other of each epoch at once, and a
 * history of megabytes with each of them would keep all replicas of a machine busy. Nothing for a short one.
 */
export function historySpacingMs(chain: EpochChain | undefined): number {
	return ((chain?.sizeBytes ?? 0) / MIB) * SPACING_MS_PER_MIB;
}
