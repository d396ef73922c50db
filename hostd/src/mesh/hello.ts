/**
 * First words between two hosts: the mesh they belong to, and their presence, so that each is in the other's list
 * before the first call. A host of another mesh is refused. Trust for now: the name of the mesh is no secret; machine
 * certificates take this place.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { openMachineRecord, requireFresh, sha256 } from '@beemesh/sdk/identity';
import type { HelloExchange } from '@beemesh/sdk/streams';
import {
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	type MachineId,
	machineIdSchema,
	type Presence,
	timeMs,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';

const helloSchema = v.strictObject({ mesh: v.string(), presence: envelopeSchema });

const claimSchema = v.object({ machineId: machineIdSchema, seq: timeMs });

/** What a session knows of the host at its other end. */
export interface MachinePrincipal {
	readonly machineId: MachineId;
	readonly presence: Presence;
	readonly envelope: Uint8Array;
}

/** Short name of a mesh in protocol and topic names. */
export function meshHash(mesh: string): string {
	return Buffer.from(sha256(new TextEncoder().encode(`beemesh/mesh/${mesh}`)).subarray(0, 16)).toString('hex');
}

/** Opens a presence and checks that it is of now. */
export function openPresence(envelope: Uint8Array, nowMs: number): Presence {
	const { body } = openMachineRecord('presence', envelope);
	// A goodbye ends with the moment that it was said, so its expiry is no objection.
	requireFresh('the presence', { ts: body.ts }, nowMs);
	return body;
}

/** Which presence this claims to be, unverified: machine and sequence number. Throws `invalid_input`. */
export function peekPresence(envelope: Uint8Array): { readonly machineId: MachineId; readonly seq: number } {
	const outer = decodeRecord(envelope) as { readonly b?: unknown } | null;
	const inner = outer?.b instanceof Uint8Array ? v.safeParse(claimSchema, decodeRecord(outer.b)) : undefined;
	if (inner?.success !== true) throw new MeshError('invalid_input', 'not a presence');
	return inner.output;
}

export function createHello(options: {
	readonly mesh: string;
	readonly presence: () => Uint8Array;
	readonly nowMs: () => number;
}): HelloExchange<MachinePrincipal> {
	const hash = meshHash(options.mesh);
	return {
		hello: () => encodeRecord({ mesh: hash, presence: options.presence() }),
		admit(remote, bytes) {
			const parsed = v.safeParse(helloSchema, decodeRecord(bytes));
			if (!parsed.success)
				throw new MeshError('invalid_input', 'the first message of this session is not a machine hello');
			if (parsed.output.mesh !== hash) {
				throw new MeshError(
					'unauthorized',
					'this host belongs to another mesh: check the mesh name in both configurations',
				);
			}
			const presence = openPresence(parsed.output.presence, options.nowMs());
			if (presence.machineId !== remote) {
				throw new MeshError('unauthorized', `the connection is ${remote}'s, the presence in its hello is not`);
			}
			return { machineId: presence.machineId, presence, envelope: parsed.output.presence };
		},
	};
}
