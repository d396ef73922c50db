/**
 * Confirms a workload's members: the owner signs an epoch with the same members as their newest, so that nobody need be
 * told, or keep, what led there. Hosts pass it on; whichever member changes the membership now takes it, if no other
 * member was faster. Until it is seen in what members leave with their hosts, another one is drawn up.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import {
	chainOfRosters,
	draftCheckpoint,
	type EpochChain,
	linkOf,
	openCharter,
	openRoster,
	peekRecord,
	sealCheckpoint,
	signRecordPart,
} from '@beemesh/sdk/identity';
import type { EpochLink, RecordCid } from '@beemesh/sdk/wire';
import type { HostClient } from '../host/client.ts';
import { askHosts, type WorkloadState } from '../host/inventory.ts';
import { counted } from '../output/human.ts';
import type { Owner } from '../owner/owner.ts';

/** A host answers from memory; a history that is almost too long has 4 MiB. */
const ANSWER_MS = 5_000;
/** For members to agree, and to leave with their hosts what they know then: some hundred milliseconds. */
const TAKEN_MS = 6_000;
const LOOK_EVERY_MS = 250;
/** Whoever would have taken it may have had no connection to its host just then. */
const GIVE_EVERY_MS = 1_500;

/** A history that is confirmed when nothing else is to be done. Members refuse newcomers from 3.5 MiB on. */
const LONG_LINKS = 64;
const LONG_BYTES = 256 * 1024;

export interface ConfirmOptions {
	readonly client: HostClient;
	readonly owner: Pick<Owner, 'signer' | 'psk'>;
	readonly workload: Pick<WorkloadState, 'charter' | 'hosts'>;
	/** `any`: whatever members have added is replaced. `long`: only when it is much. */
	readonly when: 'any' | 'long';
	readonly nowMs: () => number;
	readonly signal: AbortSignal;
	/** For a person: that it was done, or why not. */
	readonly tell: (text: string) => void;
}

/** Never fails for what members or hosts do: what the owner wanted besides is done anyway. */
export async function confirmMembers(options: ConfirmOptions): Promise<void> {
	const { workload, signal, tell } = options;
	const { name } = workload.charter;
	try {
		const epochs = await confirmed(options);
		if (epochs !== undefined) tell(`members of ${name} confirmed: ${counted(epochs, 'epoch')} are 1 now`);
	} catch (error) {
		signal.throwIfAborted();
		if (!isMeshError(error)) throw error;
		tell(`members of ${name} not confirmed, so their history stays long: ${error.message}`);
	}
}

/** How many epochs one replaces now; undefined when there was no need, or nobody has left anything to go by. */
async function confirmed(options: ConfirmOptions): Promise<number | undefined> {
	const { owner, workload, when, nowMs, signal } = options;
	const { wid } = workload.charter;
	const untilMs = nowMs() + TAKEN_MS;
	let chain: EpochChain | undefined;
	let given: Given | undefined;
	let epochs = 0;
	for (;;) {
		chain = await newest(options, chain);
		if (chain === undefined) return undefined;
		if (given?.cid === chain.checkpoint.cid) return epochs;
		if (nowMs() > untilMs)
			throw new MeshError('unavailable', 'no member that could take the change has done so in time; apply again');
		const { cid } = chain.head;
		if (given?.after !== cid) {
			const links = chain.linksSince(-1).length;
			if (given === undefined && !isDue(when, links, chain.sizeBytes)) return undefined;
			epochs = links;
			// Members have gone further: another one, which also makes the one before it worthless.
			const draft = draftCheckpoint(chain, nowMs());
			const link = linkOf(draft, [signRecordPart('epoch', draft.body, owner.signer)]);
			given = { link, cid: peekRecord('epoch', link.epoch).cid, after: cid, atMs: Number.NEGATIVE_INFINITY };
		}
		if (nowMs() > given.atMs + GIVE_EVERY_MS) {
			given = { ...given, atMs: nowMs() };
			await give(options, sealCheckpoint(owner.psk, wid, given.link));
		}
		await delay(LOOK_EVERY_MS, undefined, { signal });
	}
}

interface Given {
	readonly link: EpochLink;
	readonly cid: RecordCid;
	readonly after: RecordCid;
	readonly atMs: number;
}

function isDue(when: ConfirmOptions['when'], links: number, bytes: number): boolean {
	return when === 'any' ? links > 1 : links > LONG_LINKS || bytes > LONG_BYTES;
}

/** What all hosts' rosters prove. */
async function newest(options: ConfirmOptions, known: EpochChain | undefined): Promise<EpochChain | undefined> {
	const { client, owner, workload, nowMs, signal } = options;
	const { wid } = workload.charter;
	const { answers } = await askHosts(client, workload.hosts, signal, (host) =>
		host.rosters({ wid }, { signal, timeout: ANSWER_MS }),
	);
	const rosters = [...answers.values()].flatMap(({ sealed }) =>
		sealed.flatMap((bytes) => {
			try {
				return [openRoster(owner.psk, wid, bytes)];
			} catch (error) {
				if (!isMeshError(error)) throw error;
				return [];
			}
		}),
	);
	const opened = (charter: Uint8Array) => openCharter(charter, wid, owner.signer.publicKey, nowMs());
	return chainOfRosters(known, rosters, opened, nowMs());
}

async function give({ client, workload, signal }: ConfirmOptions, sealed: Uint8Array): Promise<void> {
	const { wid } = workload.charter;
	await askHosts(client, workload.hosts, signal, (host) =>
		host.checkpoint({ wid, sealed }, { signal, timeout: ANSWER_MS }),
	);
}
