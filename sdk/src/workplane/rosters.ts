/** Leaves a workload's roster with the host, for others to check its members, and finds those that others have left. */
import type { Trust } from '../discovery/index.ts';
import { openRoster, type Roster, sealRoster } from '../identity/index.ts';
import type { Logger } from '../telemetry/index.ts';
import type { WorkloadId } from '../wire/index.ts';
import type { PodHost } from './host.ts';

const FIND_MS = 3_000;
/** Changes in quick succession are left with the host once. */
const SOON_MS = 200;

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
	readonly #listening: Disposable;
	#timer: NodeJS.Timeout | undefined;

	constructor(options: RosterOptions) {
		this.#options = options;
		this.#listening = options.trust.onChange((wid) => wid === options.wid && this.soon());
		this.soon();
	}

	soon(): void {
		this.#timer ??= setTimeout(() => void this.#keep(), SOON_MS);
	}

	close(): void {
		clearTimeout(this.#timer);
		this.#listening[Symbol.dispose]();
	}

	/** Before others are met, who may know nothing of us yet. */
	async keepNow(): Promise<void> {
		clearTimeout(this.#timer);
		await this.#keep();
	}

	async #keep(): Promise<void> {
		this.#timer = undefined;
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
