/**
 * Rosters: what it takes to check a workload's members, left by members with their hosts and passed on by hosts. And
 * checkpoints, which the owner gives to hosts for members. Both are sealed under the owner's pre-shared key, so that hosts
 * learn nothing from them that they do not know.
 */
import * as v from 'valibot';
import { isMeshError, MeshError } from '../../errors.ts';
import {
	decodeRecord,
	type EpochLink,
	encodeRecord,
	envelopeSchema,
	epochLinkSchema,
	epochLinksSchema,
	LIMITS,
	type WorkloadId,
} from '../../wire/index.ts';
import { openForGroup, sealForGroup } from '../group-seal.ts';
import { type CharterOpened, EpochChain } from './chain.ts';
import { compareCharters } from './terms.ts';

/** What a member of a workload knows of it: enough for anybody of the same owner to check its members. */
export interface Roster {
	/** Envelope. */
	readonly charter: Uint8Array;
	readonly links: readonly EpochLink[];
}

/** Sealed, and as one message: what else is in it takes far less than the rest of the limit. */
export const ROSTER_BYTES_MAX = LIMITS.messageBytesMax - 64 * 1024;

const rosterSchema = v.strictObject({ charter: envelopeSchema, links: epochLinksSchema });
/** What a roster is sealed for. */
export const rosterContext = (wid: WorkloadId): string => `roster/${wid}`;
const checkpointContext = (wid: WorkloadId): string => `checkpoint/${wid}`;

/** Undefined when it would be too large for a host to keep and pass on. */
export function sealRoster(psk: Uint8Array, wid: WorkloadId, { charter, links }: Roster): Uint8Array | undefined {
	const sealed = sealForGroup(psk, rosterContext(wid), encodeRecord({ charter, links: [...links] }));
	return sealed.byteLength > ROSTER_BYTES_MAX ? undefined : sealed;
}

/** Throws unless it is sealed for this workload under this key. What it says is not checked. */
export function openRoster(psk: Uint8Array, wid: WorkloadId, sealed: Uint8Array): Roster {
	return parse(rosterSchema, openForGroup([psk], rosterContext(wid), sealed), 'no roster');
}

export function sealCheckpoint(psk: Uint8Array, wid: WorkloadId, link: EpochLink): Uint8Array {
	return sealForGroup(psk, checkpointContext(wid), encodeRecord(link));
}

/** Throws unless it is sealed for this workload under this key. Whether it holds is not checked. */
export function openCheckpoint(psk: Uint8Array, wid: WorkloadId, sealed: Uint8Array): EpochLink {
	return parse(epochLinkSchema, openForGroup([psk], checkpointContext(wid), sealed), 'no checkpoint');
}

/**
 * The newest membership that these rosters prove, `known` included; what proves nothing is left out. `openCharter` throws
 * unless a charter is of the workload that is meant.
 */
export function chainOfRosters(
	known: EpochChain | undefined,
	rosters: readonly Roster[],
	openCharter: (envelope: Uint8Array) => CharterOpened,
	nowMs: number,
): EpochChain | undefined {
	let chain = known;
	const charters = rosters
		.flatMap(({ charter }) => unlessRefused(() => openCharter(charter)) ?? [])
		.sort((a, b) => compareCharters(b.body, a.body));
	const [newest] = charters;
	if (newest === undefined) return known;
	chain?.takeCharter(newest);
	for (const { links } of rosters) {
		unlessRefused(() => {
			if (chain === undefined) chain = EpochChain.from(newest, links, nowMs);
			else chain.offer(links, nowMs);
		});
	}
	return chain;
}

/** Somebody may have left anything with a host, and a host may pass anything on. */
function unlessRefused<T>(act: () => T): T | undefined {
	try {
		return act();
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return undefined;
	}
}

function parse<T>(schema: v.GenericSchema<unknown, T>, plain: Uint8Array, none: string): T {
	const parsed = v.safeParse(schema, decodeRecord(plain, LIMITS.admissionBytesMax));
	if (!parsed.success) throw new MeshError('invalid_input', `what was sealed is ${none}`);
	return parsed.output;
}
