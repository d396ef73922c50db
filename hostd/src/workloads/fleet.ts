/**
 * Questions to the other hosts, answered for this one too: an owner's inventory, a workload's replicas, a newer charter,
 * a pod's logs. Best effort: a host that does not answer in time is named, not waited for.
 */
import type { MemberHint } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import { openRecord } from '@beemesh/sdk/identity';
import type { MachineId, WorkloadId } from '@beemesh/sdk/wire';
import type { Inventory, WorkloadView } from '../api/contract.ts';
import type { MeshNode } from '../mesh/index.ts';
import { MachineWorkloadsApi } from './contract.ts';

/** Past this a person would think that the command hangs; a live host answers in milliseconds. */
const ANSWER_MS = 1_000;

/** What this host itself answers. */
export interface LocalWorkloads {
	inventory(request: Uint8Array): WorkloadView[];
	members(wid: WorkloadId): MemberHint[];
	charter(charter: Uint8Array, manifest: Uint8Array | undefined): number;
}

export class Fleet {
	readonly #mesh: MeshNode;
	readonly #local: LocalWorkloads;

	constructor(mesh: MeshNode, local: LocalWorkloads) {
		this.#mesh = mesh;
		this.#local = local;
	}

	async inventory(request: Uint8Array): Promise<Inventory> {
		const mine = this.#local.inventory(request);
		const answers = await this.#ask((caller) => caller.inventory({ request }, { timeout: ANSWER_MS }));
		const merged = new Map<WorkloadId, WorkloadView>();
		for (const view of [...mine, ...answers.values.flatMap(({ workloads }) => workloads)]) {
			const known = merged.get(view.wid);
			merged.set(view.wid, known === undefined ? view : newer(known, view));
		}
		return { workloads: [...merged.values()], hostsAsked: answers.asked + 1, hostsSilent: answers.silent };
	}

	async members(wid: WorkloadId): Promise<MemberHint[]> {
		const mine = this.#local.members(wid);
		const { values } = await this.#ask((caller) => caller.members({ wid }, { timeout: ANSWER_MS }));
		return [...mine, ...values.flatMap(({ members }) => members)];
	}

	async charter(
		charter: Uint8Array,
		manifest: Uint8Array | undefined,
	): Promise<{ hostsReached: number; pods: number }> {
		const mine = this.#local.charter(charter, manifest);
		const input = { charter, ...(manifest === undefined ? {} : { manifest }) };
		const { values } = await this.#ask((caller) => caller.charter(input, { timeout: ANSWER_MS }));
		return { hostsReached: values.length + 1, pods: values.reduce((sum, { pods }) => sum + pods, mine) };
	}

	/** For one host that was away: charters that it may have missed. What it misses again, it hears the next time. */
	async tell(machineId: MachineId, charters: readonly Uint8Array[]): Promise<void> {
		if (charters.length === 0) return;
		const caller = await this.caller(machineId);
		for (const charter of charters) await caller.charter({ charter }, { timeout: ANSWER_MS });
	}

	/** A caller for one other host. Throws `unavailable` when it is not there. */
	async caller(machineId: MachineId) {
		const presence = this.#mesh.hosts().find((host) => host.machineId === machineId);
		if (presence === undefined) {
			throw new MeshError('unavailable', `host ${machineId} is not in the mesh now; see \`beectl get hosts\``);
		}
		const session = await this.#mesh.rpc.connect(machineId, {
			addresses: presence.addresses,
			signal: AbortSignal.timeout(ANSWER_MS),
		});
		return session.caller(MachineWorkloadsApi);
	}

	async #ask<T>(question: (caller: Awaited<ReturnType<Fleet['caller']>>) => Promise<T>) {
		const others = this.#mesh.hosts().filter((host) => host.machineId !== this.#mesh.machineId);
		const answers = await Promise.allSettled(
			others.map(async ({ machineId }) => question(await this.caller(machineId))),
		);
		const values: T[] = [];
		const silent: MachineId[] = [];
		answers.forEach((answer, i) => {
			const machineId = others[i]?.machineId;
			if (answer.status === 'fulfilled') values.push(answer.value);
			else if (machineId !== undefined) silent.push(machineId);
		});
		return { values, silent, asked: others.length };
	}
}

/** Both hosts' pods under the newer of the two charters. */
function newer(a: WorkloadView, b: WorkloadView): WorkloadView {
	const eraOf = (view: WorkloadView): number => openRecord('charter', view.charter).body.era;
	const [first, second] = eraOf(b) > eraOf(a) ? [b, a] : [a, b];
	return { ...first, pods: [...first.pods, ...second.pods] };
}
