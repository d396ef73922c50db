/**
 * An invitation: which mesh, and where its hosts are. Public: it lets nobody in, it lets people and machines recognise the
 * mesh that they mean.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { decodeRecord, encodeRecord, envelopeSchema, LIMITS } from '../wire/index.ts';
import { decodeArmor, encodeArmor } from './armor.ts';
import { type OpenedMesh, openMesh } from './machine.ts';

export const JOIN_ADDRESSES_MAX = 64;
const INVITE_BYTES_MAX = 32 * 1024;

/** Multiaddr of a host: who must answer there is part of it. */
export const joinAddressSchema = v.pipe(
	v.string(),
	v.maxLength(LIMITS.addressBytesMax),
	v.regex(
		/^\/[!-~]+\/p2p\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/,
		'expected an address that ends in /p2p/<machine ID>, e.g. /ip4/192.0.2.7/udp/4700/quic-v1/p2p/12D3KooW…',
	),
);

const inviteSchema = v.strictObject({
	genesis: envelopeSchema,
	join: v.pipe(v.array(joinAddressSchema), v.maxLength(JOIN_ADDRESSES_MAX)),
});

export interface Invite {
	readonly mesh: OpenedMesh;
	/** Where hosts of the mesh are, or were. */
	readonly join: readonly string[];
}

/** As text to be carried. Throws `invalid_input` for an address of another form. */
export function encodeInvite({ mesh, join }: Invite): string {
	return encodeArmor('INVITE', encodeRecord(parse({ genesis: mesh.envelope, join: [...join] })));
}

/** Verifies that the mesh is its root key's own. That it is the mesh *you* mean is known by its ID only. */
export function decodeInvite(text: string): Invite {
	const { genesis, join } = parse(decodeRecord(decodeArmor('INVITE', text), INVITE_BYTES_MAX));
	return { mesh: openMesh(genesis), join };
}

function parse(value: unknown): v.InferOutput<typeof inviteSchema> {
	const parsed = v.safeParse(inviteSchema, value);
	if (!parsed.success) throw new MeshError('invalid_input', `not an invitation: ${parsed.issues[0].message}`);
	return parsed.output;
}
