/**
 * First words between two hosts: who they are, by certificate, and how they are, by presence, so that each is in the
 * other's list before the first call. The same introduction tells others of a host that they have not met.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { type MachineTrust, peekRecord, requireFresh, sha256 } from '@beemesh/sdk/identity';
import type { HelloExchange } from '@beemesh/sdk/streams';
import {
	decodeRecord,
	effectiveLabels,
	encodeRecord,
	envelopeSchema,
	type MachineId,
	type Presence,
	timeMs,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';

const introductionSchema = v.strictObject({ presence: envelopeSchema, credential: v.optional(envelopeSchema) });
const helloSchema = v.strictObject({
	introduction: envelopeSchema,
	/** Number of the newest mesh epoch known: whoever is behind asks for it. */
	epoch: timeMs,
});

/** What a session knows of the host at its other end. */
export interface MachinePrincipal {
	readonly machineId: MachineId;
	readonly presence: Presence;
	/** Its introduction, to pass on. */
	readonly introduction: Uint8Array;
	readonly epoch: number;
}

/** Short name of a mesh in protocol and topic names. */
export function meshHash(meshId: string): string {
	return Buffer.from(sha256(new TextEncoder().encode(`beemesh/mesh/${meshId}`)).subarray(0, 16)).toString('hex');
}

/** `credential` is left out for those who know it: it is three times as long as the presence. */
export function introductionOf(presence: Uint8Array, credential?: Uint8Array): Uint8Array {
	return encodeRecord(credential === undefined ? { presence } : { presence, credential });
}

/** What an introduction claims, nothing of it proved. Throws `invalid_input`. */
export function peekIntroduction(bytes: Uint8Array) {
	const parsed = v.safeParse(introductionSchema, decodeRecord(bytes));
	if (!parsed.success) throw new MeshError('invalid_input', 'not an introduction of a host');
	return { presence: peekRecord('presence', parsed.output.presence), credential: parsed.output.credential };
}

/** A presence with the labels that count, whatever else the machine says of itself. */
export function certifiedPresence(presence: Presence, trust: MachineTrust, nowMs: number): Presence {
	const certified = trust.machine(presence.machineId, nowMs)?.cert.labels ?? {};
	return { ...presence, labels: { ...effectiveLabels(certified, presence.labels) } };
}

/** Verifies an introduction: certificate, then presence, and that it is of now. Remembers the certificate. */
export function openIntroduction(
	{ presence, credential }: ReturnType<typeof peekIntroduction>,
	trust: MachineTrust,
	nowMs: number,
): Presence {
	if (credential !== undefined) trust.learn(credential, nowMs);
	// A goodbye ends with the moment that it was said, so its expiry is no objection.
	requireFresh('the presence', { ts: presence.body.ts }, nowMs);
	return certifiedPresence(trust.verify(presence, nowMs).body, trust, nowMs);
}

export function createHello(options: {
	readonly trust: MachineTrust;
	readonly introduction: () => Uint8Array;
	readonly nowMs: () => number;
}): HelloExchange<MachinePrincipal> {
	const { trust, introduction, nowMs } = options;
	return {
		hello: () => encodeRecord({ introduction: introduction(), epoch: trust.epoch.body.seq }),
		admit(remote, bytes) {
			const parsed = v.safeParse(helloSchema, decodeRecord(bytes));
			if (!parsed.success)
				throw new MeshError('invalid_input', 'the first message of this session is not a machine hello');
			const claim = peekIntroduction(parsed.output.introduction);
			if (claim.presence.body.machineId !== remote)
				throw new MeshError('unauthorized', `the connection is ${remote}'s, the presence in its hello is not`);
			const presence = openIntroduction(claim, trust, nowMs());
			const { introduction, epoch } = parsed.output;
			return { machineId: presence.machineId, presence, introduction, epoch };
		},
	};
}
