/**
 * What hosts tell and ask each other, answered for this one too: where a workload's replicas are, and which workloads are
 * over. Best effort: a host that does not answer in time is not waited for.
 */
import type { MemberHint } from '@beemesh/sdk/api';
import type { Caller } from '@beemesh/sdk/streams';
import type { MachineId, WorkloadId } from '@beemesh/sdk/wire';
import type { MeshNode } from '../mesh/index.ts';
import { MachineWorkloadsApi } from './contract.ts';
import { asAnswer } from './rosters.ts';

/** Past this a person would think that the command hangs; a live host answers in milliseconds. */
const ANSWER_MS = 1_000;

type WorkloadsCaller = Caller<(typeof MachineWorkloadsApi)['methods']>;

/** What this host itself answers. */
export interface LocalWorkloads {
	members(wid: WorkloadId): MemberHint[];
	/** Sealed: what members have left here, as much of it as fits into one answer. */
	rosters(wid: WorkloadId): Uint8Array[];
	/** Throws unless the workload's owner says so. */
	end(end: Uint8Array): void;
}

export class Fleet {
	readonly #mesh: MeshNode;
	readonly #local: LocalWorkloads;

	constructor(mesh: MeshNode, local: LocalWorkloads) {
		this.#mesh = mesh;
		this.#local = local;
	}

	async members(wid: WorkloadId): Promise<MemberHint[]> {
		const mine = this.#local.members(wid);
		const answers = await this.#ask((caller) => caller.members({ wid }, { timeout: ANSWER_MS }));
		return [...mine, ...answers.flatMap(({ members }) => members)];
	}

	/** What members of a workload have left with their hosts, each once. */
	async rosters(wid: WorkloadId): Promise<Uint8Array[]> {
		const answers = await this.#ask((caller) => caller.rosters({ wid }, { timeout: ANSWER_MS }));
		return asAnswer([...this.#local.rosters(wid), ...answers.flatMap(({ sealed }) => sealed)]);
	}

	/** Says that a workload is over, here and to everybody present. */
	async end(end: Uint8Array): Promise<{ hostsReached: number }> {
		this.#local.end(end);
		const answers = await this.#ask((caller) => caller.ended({ end }, { timeout: ANSWER_MS }));
		return { hostsReached: answers.length + 1 };
	}

	/** For one host that was away: what it may have missed. What it misses again, it hears the next time. */
	async tell(machineId: MachineId, ends: readonly Uint8Array[]): Promise<void> {
		if (ends.length === 0) return;
		const caller = await this.#caller(machineId);
		for (const end of ends) await caller.ended({ end }, { timeout: ANSWER_MS });
	}

	async #caller(machineId: MachineId): Promise<WorkloadsCaller> {
		const addresses = this.#mesh.hosts().find((host) => host.machineId === machineId)?.addresses ?? [];
		const session = await this.#mesh.rpc.connect(machineId, { addresses, signal: AbortSignal.timeout(ANSWER_MS) });
		return session.caller(MachineWorkloadsApi);
	}

	/** Answers of the hosts that gave one. */
	async #ask<T>(question: (caller: WorkloadsCaller) => Promise<T>): Promise<T[]> {
		const others = this.#mesh.hosts().filter((host) => host.machineId !== this.#mesh.machineId);
		const answers = await Promise.allSettled(
			others.map(async ({ machineId }) => question(await this.#caller(machineId))),
		);
		return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
	}
}
