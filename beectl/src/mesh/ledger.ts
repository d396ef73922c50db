/** Which machines the root has enrolled, and which of them it has put out again. No I/O. */
import { MeshError } from '@beemesh/sdk/errors';
import { MACHINE_CERT_TTL_MS } from '@beemesh/sdk/identity';
import { type MachineId, machineIdSchema, nameSchema, safeInt, timeMs } from '@beemesh/sdk/wire';
import * as v from 'valibot';

const entrySchema = v.strictObject({
	machineId: machineIdSchema,
	name: nameSchema,
	/** In its certificate and all renewals of it. */
	serial: safeInt,
	/** Of the certificate that the root gave it; enrollers may have renewed it since. */
	exp: timeMs,
	/** It renews certificates of others. */
	renews: v.boolean(),
	revokedMs: v.optional(timeMs),
});
export type LedgerEntry = v.InferOutput<typeof entrySchema>;

export const ledgerSchema = v.strictObject({ nextSerial: safeInt, machines: v.array(entrySchema) });
export type Ledger = v.InferOutput<typeof ledgerSchema>;

/** Throws `not_found`, or `conflict` when several machines have the name. */
export function machineNamed({ machines }: Ledger, word: string): LedgerEntry {
	const found = machines.filter(({ machineId, name }) => machineId === word || name === word);
	const inForce = found.filter(({ revokedMs }) => revokedMs === undefined);
	const [entry, ...others] = inForce.length > 0 ? inForce : found;
	if (entry === undefined)
		throw new MeshError('not_found', `no machine "${word}" was enrolled with this mesh file; see \`beectl mesh show\``);
	if (others.length > 0) {
		const ids = [entry, ...others].map(({ machineId }) => `  ${machineId}`).join('\n');
		throw new MeshError('conflict', `several machines are named "${word}"; name the one by its ID:\n${ids}`);
	}
	return entry;
}

export function entryOf({ machines }: Ledger, machineId: MachineId): LedgerEntry | undefined {
	return machines.find((entry) => entry.machineId === machineId);
}

/** Adds the machine, or replaces what was known of it. */
export function withEntry(ledger: Ledger, entry: LedgerEntry): Ledger {
	const machines = ledger.machines.filter(({ machineId }) => machineId !== entry.machineId);
	return {
		nextSerial: Math.max(ledger.nextSerial, entry.serial + 1),
		machines: [...machines, entry].sort((a, b) => a.serial - b.serial),
	};
}

export function withRevoked(ledger: Ledger, machineIds: readonly MachineId[], nowMs: number): Ledger {
	const machines = ledger.machines.map((entry) =>
		machineIds.includes(entry.machineId) && entry.revokedMs === undefined ? { ...entry, revokedMs: nowMs } : entry,
	);
	return { ...ledger, machines };
}

/**
 * Machines that an epoch has to name. A certificate that an enroller renewed just before it heard of the revocation ends
 * within one lifetime; after a second one nobody can hold one.
 */
export function revocationsInForce({ machines }: Ledger, nowMs: number): readonly MachineId[] {
	return machines
		.filter(({ revokedMs }) => revokedMs !== undefined && nowMs < revokedMs + 2 * MACHINE_CERT_TTL_MS)
		.map(({ machineId }) => machineId);
}
