/**
 * Calls to other hosts' `MachineApi`, and to our own without a wire: a host that places on itself takes the same path
 * as any other, from the same checks on.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import type { Caller } from '@beemesh/sdk/streams';
import type { MachineId } from '@beemesh/sdk/wire';
import { type Clock, MachineApi, type MeshNode } from '../mesh/index.ts';

export type MachineCaller = Caller<typeof MachineApi.methods>;

const CONNECT_MS = 2_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

/** A caller for one other host. Rejects with `unavailable` when it cannot be reached. */
export async function callerOf(
	mesh: MeshNode,
	machineId: MachineId,
	addresses: readonly string[] = [],
): Promise<MachineCaller> {
	const open = mesh.rpc.get(machineId);
	if (open !== undefined) return open.caller(MachineApi);
	const known = mesh.hosts().find((host) => host.machineId === machineId)?.addresses ?? addresses;
	const session = await mesh.rpc.connect(machineId, { addresses: known, signal: AbortSignal.timeout(CONNECT_MS) });
	return session.caller(MachineApi);
}

/**
 * Repeats an idempotent call over lost sessions until it is answered, refused, or out of time. For what must arrive:
 * outcomes and admissions.
 */
export async function insist<T>(
	call: () => Promise<T>,
	options: { readonly clock: Clock; readonly untilMs: number; readonly signal: AbortSignal },
): Promise<T> {
	const { clock, untilMs, signal } = options;
	for (let pauseMs = RETRY_MIN_MS; ; pauseMs = Math.min(RETRY_MAX_MS, pauseMs * 2)) {
		try {
			return await call();
		} catch (error) {
			const lost =
				isMeshError(error, 'unavailable') || isMeshError(error, 'deadline') || isMeshError(error, 'cancelled');
			if (!lost || signal.aborted || clock.nowMs() + pauseMs >= untilMs) throw error;
		}
		await pause(clock, pauseMs, signal);
	}
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		const onAbort = (): void => {
			stop();
			reject(new MeshError('cancelled', 'given up while waiting to try again'));
		};
		const stop = clock.after(ms, () => {
			signal.removeEventListener('abort', onAbort);
			resolve();
		});
		if (signal.aborted) onAbort();
		else signal.addEventListener('abort', onAbort, { once: true });
	});
}
