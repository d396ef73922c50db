/**
 * Identities for tests: a toy certificate (name, peer, key, validity; signed by a composite root) and everything a
 * session asks of one. `createTestMesh` is a root; its `issue` gives members.
 */
import { createHash, randomBytes } from 'node:crypto';
import { MeshError } from '../../../errors.ts';
import { suite } from '../../../identity/suite/index.ts';
import type { PeerId } from '../../../wire/ids.ts';
import { cidFromDigest, decodeRecord, encodeRecord } from '../../../wire/index.ts';
import type { Plane, SessionIdentity, VerifiedPeer } from '../index.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const ROOT_CONTEXT = utf8('test/certificate/1');
const SESSION_CONTEXT = utf8('test/session/1');

interface Body {
	readonly name: string;
	readonly peer: string;
	readonly key: Uint8Array;
	readonly exp: number;
	/** Real certificates carry more keys and proofs. */
	readonly padding: Uint8Array;
}

export interface TestMeshOptions {
	readonly plane?: Plane;
	readonly psks?: readonly Uint8Array[];
	readonly epoch?: number;
	/** 64 bytes, for processes that share a root. Default: random. */
	readonly rootSeed?: Uint8Array;
	/** Bytes of each certificate, about. Default 8,500. */
	readonly certificateBytes?: number;
}

export interface IssueOptions {
	/** Milliseconds since the epoch. Default: in an hour. */
	readonly exp?: number;
}

/** A member's identity; what is mutable is what tests turn. */
export interface TestIdentity extends SessionIdentity<string> {
	readonly name: string;
	currentEpoch: number;
	currentPsks: readonly Uint8Array[];
	/** How often a certificate was checked. */
	verifications: number;
	/** False: no certificate yet. */
	isEnrolled: boolean;
}

export interface TestMesh {
	readonly domain: Uint8Array;
	readonly psk: Uint8Array;
	issue(name: string, peer: PeerId | undefined, options?: IssueOptions): TestIdentity;
	/** From now on every member refuses this one. */
	revoke(identity: TestIdentity): void;
}

export function createTestMesh(options: TestMeshOptions = {}): TestMesh {
	const { plane = 'machine', epoch = 1, certificateBytes = 8_500 } = options;
	const root = suite.createSigningKey(options.rootSeed ?? randomBytes(64));
	const psks = options.psks ?? [new Uint8Array(randomBytes(32))];
	const psk = psks[0] ?? new Uint8Array(32);
	const domain = new Uint8Array(createHash('sha256').update(root.publicKey).digest());
	const revoked = new Set<string>();
	const paddingBytes = Math.max(0, certificateBytes - 5_600);

	function issue(name: string, peer: PeerId | undefined, { exp = Date.now() + 3_600_000 }: IssueOptions = {}) {
		const key = suite.createSigningKey(randomBytes(64));
		const padding = new Uint8Array(randomBytes(paddingBytes));
		const body = encodeRecord({ name, peer: peer ?? '', key: key.publicKey, exp, padding } satisfies Body);
		const bytes = encodeRecord({ b: body, s: root.sign(body, ROOT_CONTEXT) });
		const cid = cidOf(body);
		// Verified before, with what came of it: the root's signature is checked once.
		const seen = new Map<string, { readonly bytes: Uint8Array; readonly body: Body }>();

		const identity: TestIdentity = {
			name,
			plane,
			domain,
			currentEpoch: epoch,
			currentPsks: psks,
			verifications: 0,
			isEnrolled: true,
			psks: () => identity.currentPsks,
			epoch: () => identity.currentEpoch,
			certificate: () => {
				if (!identity.isEnrolled) throw new MeshError('unavailable', `${name} has no certificate yet`);
				return { bytes, cid };
			},
			sign: (message) => key.sign(message, SESSION_CONTEXT),
			known: (known) => seen.get(known)?.bytes,
			verify: (certificate, remote): VerifiedPeer<string> => {
				identity.verifications++;
				const { b, s } = decodeRecord(certificate) as { b: Uint8Array; s: Uint8Array };
				const theirs = cidOf(b);
				if (!seen.has(theirs)) {
					if (!suite.verify(root.publicKey, b, s, ROOT_CONTEXT)) throw refused('it is not of our root');
					seen.set(theirs, { bytes: certificate, body: decodeRecord(b) as Body });
				}
				const { body: claims } = seen.get(theirs) as { body: Body };
				if (revoked.has(theirs)) throw refused('it is revoked');
				if (claims.exp <= Date.now()) throw refused('it has expired');
				if (claims.peer !== (remote ?? '')) throw refused('it names another peer');
				return {
					principal: claims.name,
					cid: theirs,
					verifySignature: (message, signature) => suite.verify(claims.key, message, signature, SESSION_CONTEXT),
				};
			},
		};
		return identity;
	}

	return { domain, psk, issue, revoke: (identity) => void revoked.add(identity.certificate().cid) };
}

function cidOf(body: Uint8Array): string {
	return cidFromDigest(createHash('sha256').update(body).digest());
}

function refused(why: string): MeshError {
	return new MeshError('unauthorized', why);
}
