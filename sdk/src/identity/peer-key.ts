/**
 * Peer keys: the Ed25519 keys of libp2p connections. They sign nothing of ours but one proof, made when the process asks
 * for its certificate: that peer ID, signing key and key-encapsulation key have one holder.
 */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { MeshError } from '../errors.ts';
import { KEY_BYTES, type PeerId } from '../wire/index.ts';

// DER prefixes of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** Identity multihash of a protobuf public key of type Ed25519 (libp2p peer-ids spec). */
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex');
const PROOF_CONTEXT = new TextEncoder().encode('beemesh/peer-proof/1\0');

export interface PeerKey {
	readonly peerId: PeerId;
	/** 32 bytes, as libp2p takes it. Secret. */
	readonly seed: Uint8Array;
	/** Proves to whoever certifies these keys that the holder of the peer key wants them. 64 bytes. */
	proofFor(keys: CertifiedKeys): Uint8Array;
}

export interface CertifiedKeys {
	readonly sigKey: Uint8Array;
	readonly kemKey: Uint8Array;
}

/** A new peer key, or the one of a 32-byte seed. */
export function createPeerKey(seed: Uint8Array = randomBytes(32)): PeerKey {
	if (seed.byteLength !== 32)
		throw new MeshError('invalid_input', `a peer key seed has 32 bytes, not ${seed.byteLength}`);
	const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
	const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
	const multihash = Buffer.concat([PEER_ID_PREFIX, spki.subarray(SPKI_PREFIX.length)]);
	return {
		peerId: base58btc.baseEncode(multihash) as PeerId,
		seed: new Uint8Array(seed),
		proofFor: (keys) => new Uint8Array(sign(null, proved(keys), privateKey)),
	};
}

/** Whether the holder of this peer ID's key wants these keys certified. False for a peer ID of another kind of key. */
export function verifyPeerProof(peerId: PeerId, keys: CertifiedKeys, proof: Uint8Array): boolean {
	const raw = rawKeyOf(peerId);
	// Both keys are signed in a row: their lengths say where one ends.
	const areKeys = keys.sigKey.byteLength === KEY_BYTES.publicKey && keys.kemKey.byteLength === KEY_BYTES.kemPublicKey;
	if (raw === undefined || !areKeys) return false;
	const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
	return verify(null, proved(keys), key, proof);
}

function rawKeyOf(peerId: PeerId): Uint8Array | undefined {
	let multihash: Uint8Array;
	try {
		multihash = base58btc.baseDecode(peerId);
	} catch {
		return undefined;
	}
	const isEd25519 = multihash.byteLength === 38 && PEER_ID_PREFIX.every((byte, i) => byte === multihash[i]);
	return isEd25519 ? multihash.subarray(PEER_ID_PREFIX.length) : undefined;
}

function proved({ sigKey, kemKey }: CertifiedKeys): Uint8Array {
	return Buffer.concat([PROOF_CONTEXT, sigKey, kemKey]);
}
