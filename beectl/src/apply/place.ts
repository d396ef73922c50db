/**
 * Places all slots of a workload through the entry host, seals the workload to each winner, and admits the replicas that
 * start. The entry host sees who won, and not what.
 */
import { openReasons, type PlaceEvent, sealRefusal, tenderFor } from '@beemesh/sdk/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { createKemKey, requireSelected, sealBundle } from '@beemesh/sdk/identity';
import { LIMITS, type MachineId, type SlotGen } from '@beemesh/sdk/wire';
import { EXIT, Failure } from '../cli/exit.ts';
import type { HostClient } from '../host/client.ts';
import { counted } from '../output/human.ts';
import type { WorkloadProgress } from '../output/progress.ts';
import { Admissions, isForged } from './admissions.ts';
import type { NewWorkload } from './records.ts';

export interface PlaceOptions {
	/** Machines are believed under the root of its mesh. */
	readonly client: HostClient;
	readonly workload: NewWorkload;
	readonly gen: number;
	readonly keepTrying: boolean;
	readonly progress: WorkloadProgress;
	readonly hostName: (id: MachineId) => string;
	readonly nowMs: () => number;
	/** Aborted by Ctrl-C, or by the timeout. */
	readonly signal: AbortSignal;
}

/** How a placement ended. */
export interface Placement {
	/** Replicas that joined: from the first on, the workload makes up the rest itself. */
	readonly admitted: number;
	/** Which slots are not deployed, and why. */
	readonly problem: Failure | undefined;
}

export async function placeWorkload(options: PlaceOptions): Promise<Placement> {
	const { client, workload, gen, progress, signal } = options;
	const { bundle, tenderKey } = workload;
	const { api, machine } = client;
	const { kind, replicas, name } = bundle.charter.body;
	const info = await api.info({}, { signal });
	const replies = createKemKey();
	const admissions = new Admissions(workload, client.machineOf, kind === 'StatefulSet' ? replicas : 0, replies);
	const outcomes = new Map<number, string>();
	const slots = Array.from({ length: replicas }, (_, slot): SlotGen => ({ slot, gen }));
	let starved: Starved | undefined;
	try {
		for (let at = 0; at < slots.length; at += LIMITS.slotsPerTenderMax) {
			const batch = slots.slice(at, at + LIMITS.slotsPerTenderMax);
			await follow(api.place({ tender: tender(batch), keepTrying: options.keepTrying }, { signal }));
		}
	} catch (error) {
		return { admitted: admissions.slotsAdmitted.length, problem: problemOf(error) };
	}
	const failed = slots.flatMap(({ slot }) => {
		const outcome = outcomes.get(slot) ?? 'the host ended the placement without an outcome';
		return outcome === 'deployed' ? [] : [`  slot ${slot}: ${outcome}`];
	});
	const admitted = admissions.slotsAdmitted.length;
	if (failed.length === 0) return { admitted, problem: undefined };
	const advice =
		admitted === 0
			? '  Nothing of it runs; correct it and apply again'
			: `  What runs goes on; see \`beectl describe ${kind.toLowerCase()} ${name}\``;
	const text = `${failed.length} of ${counted(slots.length, 'replica')} not placed:\n${failed.join('\n')}\n${advice}`;
	return { admitted, problem: new Failure(EXIT.failed, text) };

	function tender(wanted: readonly SlotGen[], tenderId?: string): Uint8Array {
		return tenderFor({
			...{ bundle, tenderKey },
			slots: wanted,
			requester: machine.machineId,
			requesterAddresses: info.addresses,
			nowMs: options.nowMs(),
			...(tenderId === undefined ? {} : { tenderId }),
		}).envelope;
	}

	function problemOf(error: unknown): Failure {
		if (error instanceof Failure) return error;
		if (!signal.aborted) throw error;
		const isTimeout = (signal.reason as Error | undefined)?.name === 'TimeoutError';
		const unplaced = slotsOf(starved);
		const why = starved === undefined || unplaced.length === 0 ? [] : [`  ${noHost({ ...starved, slots: unplaced })}`];
		const text = [
			`${isTimeout ? 'timed out' : 'interrupted'}: ${soFar(admissions.slotsAdmitted, slots.length)}`,
			...why,
		].join('\n');
		return new Failure(isTimeout ? EXIT.unreachable : EXIT.interrupted, text, { cause: error });
	}

	async function follow(events: AsyncIterable<PlaceEvent>): Promise<void> {
		for await (const told of events) {
			const event = openReasons(told, replies);
			await see(event);
			if (event.type === 'starved') starved = event;
		}
		const unplaced = slotsOf(starved);
		if (starved !== undefined && unplaced.length > 0)
			throw starvation({ ...starved, slots: unplaced }, slots.length - unplaced.length);
	}

	/** Of the slots that found no host, those that still have none. */
	function slotsOf(event: Starved | undefined): SlotGen[] {
		return event?.slots.filter(({ slot }) => !outcomes.has(slot)) ?? [];
	}

	async function see(event: PlaceEvent): Promise<void> {
		const host = 'machineId' in event ? options.hostName(event.machineId) : '';
		switch (event.type) {
			case 'tendered':
				progress.note(`tender ${event.tenderId} to ${counted(event.hosts, 'host')} (${event.scope})`);
				break;
			case 'bid':
				if (event.slotsOffered > 0)
					progress.note(`bid ${event.score.toFixed(3)} from ${host} for ${counted(event.slotsOffered, 'slot')}`);
				else progress.note(`no bid from ${host}: ${event.reason ?? 'no reason given'}`);
				break;
			case 'retender':
				await unlessOver(api.retender({ tender: tender(event.slots, event.tenderId) }, { signal }));
				break;
			case 'awarded':
				admissions.awarded(event);
				progress.slot(event.slot, `awarded to ${host}`);
				await deliver(event);
				break;
			case 'accepted':
				progress.slot(event.slot, `starting on ${host}`);
				break;
			case 'rejected':
				progress.slot(event.slot, `refused by ${host}: ${event.reason}`, 'bad');
				break;
			case 'csr':
				await admit(event);
				break;
			case 'outcome':
				outcomes.set(
					event.slot,
					event.outcome === 'deployed'
						? 'deployed'
						: `${event.outcome} on ${host}${event.reason === undefined ? '' : `: ${event.reason}`}`,
				);
				if (event.outcome === 'deployed') progress.slot(event.slot, `deployed on ${host}`);
				else progress.slot(event.slot, outcomes.get(event.slot) ?? '', 'bad');
				break;
			case 'starved':
				progress.note(
					`no host for ${counted(event.slots.length, 'slot')}${options.keepTrying ? '; asking again' : ''}`,
				);
				break;
		}
	}

	/** To a machine of our mesh that fits the workload only, whatever the entry host says of it; without it the award goes to another. */
	async function deliver(event: Extract<PlaceEvent, { type: 'awarded' }>): Promise<void> {
		const { awardId, machineId, credential, slot } = event;
		try {
			const winner = client.machineOf(credential);
			if (winner.machineId !== machineId)
				throw new MeshError('unauthorized', `the certificate shown for machine ${machineId} is of another one`);
			requireSelected(bundle.manifest, winner);
			await unlessOver(
				api.deliver({ awardId, sealed: sealBundle(bundle.bundle, awardId, winner, replies) }, { signal }),
			);
		} catch (error) {
			if (!isForged(error)) throw error;
			progress.slot(slot, `not given to ${options.hostName(machineId)}: ${error.message}`, 'bad');
		}
	}

	async function admit(event: Extract<PlaceEvent, { type: 'csr' }>): Promise<void> {
		try {
			const request = admissions.answer(event, options.nowMs());
			const answer = sealRefusal(request.answer, client.machineOf(event.credential));
			await api.admit({ ...request, answer }, { signal });
			if (request.answer.admitted) progress.slot(event.slot, 'admitted');
			else progress.slot(event.slot, `not admitted: ${request.answer.reason}`, 'bad');
		} catch (error) {
			// A forged request must not end the placement of the others.
			if (!isForged(error)) throw error;
			progress.slot(event.slot, `not admitted: ${error.message}`, 'bad');
		}
	}
}

/** An answer that comes too late is none. */
async function unlessOver(answer: Promise<unknown>): Promise<void> {
	await answer.catch((error: unknown) => {
		if (!isMeshError(error, 'not_found')) throw error;
	});
}

type Starved = Extract<PlaceEvent, { type: 'starved' }>;

/** Which requirement how many hosts did not meet. */
function noHost({ slots, hostsAsked, reasons }: Starved, rest = ''): string {
	const lines = reasons.map(({ requirement, hosts }) => `  ${requirement} (${counted(hosts, 'host')})`);
	return [
		`no host can run ${counted(slots.length, 'replica')} (${counted(hostsAsked, 'host')} asked${rest}):`,
		...(lines.length > 0 ? lines : ['  no host answered']),
	].join('\n');
}

function starvation(event: Starved, placed: number): Failure {
	return new Failure(
		EXIT.failed,
		[
			noHost(event, placed > 0 ? `; ${placed} placed` : ''),
			'  Ask for less, make room, or add a host; --keep-trying waits until one can',
		].join('\n'),
	);
}

function soFar(admitted: readonly number[], total: number): string {
	if (admitted.length === 0) return 'no replica was admitted; apply again to start over';
	return `${admitted.length} of ${counted(total, 'replica')} admitted (slot ${admitted.join(', ')}); they run on and make up the rest`;
}
