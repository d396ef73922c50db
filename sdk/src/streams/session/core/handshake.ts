/**
 * What both sides of the handshake share: settings, events, effects, and how a failure is told. The two state machines
 * are initiator.ts and responder.ts. An effect list is performed in order; after `fail` or `established` nothing comes.
 */
import { isMeshError, MeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import type { SessionCrypto, SuiteId } from './crypto.ts';
import { PLANES, type SessionIdentity, type VerifiedPeer } from './identity.ts';
import { contextOf, encodeStatement, type Role } from './key-schedule.ts';
import type { Alert } from './messages.ts';
import type { RefusalReason } from './refusal-reason.ts';
import type { Tickets } from './tickets.ts';

export interface HandshakeConfig<P> {
	readonly crypto: SessionCrypto;
	readonly identity: SessionIdentity<P>;
	/** What the session is for, agreed beforehand. Printable ASCII. */
	readonly protocol: string;
	/** Our libp2p peer ID, and that which the connection below proved; undefined where there is none. */
	readonly self: PeerId | undefined;
	readonly remote: PeerId | undefined;
	/** CID of the certificate that this peer proved last: it need not send it again. */
	readonly remembered?: string | undefined;
	readonly tickets: Tickets;
}

export type HandshakeEvent<P> =
	| { readonly type: 'start' }
	| { readonly type: 'message'; readonly bytes: Uint8Array }
	/** Answers to the effect `verify`. */
	| { readonly type: 'verified'; readonly peer: VerifiedPeer<P> }
	| { readonly type: 'refused'; readonly error: unknown };

export type HandshakeEffect<P> =
	| { readonly type: 'send'; readonly bytes: Uint8Array }
	/** Ask the identity about this certificate. */
	| { readonly type: 'verify'; readonly certificate: Uint8Array }
	| { readonly type: 'established'; readonly session: Established<P> }
	/** The attempt is over; the alert, if any, is for the other side. */
	| { readonly type: 'fail'; readonly error: MeshError; readonly alert?: Alert };

export interface Established<P> {
	readonly role: Role;
	readonly suite: SuiteId;
	/** Secret of phase 0. */
	readonly phaseSecret: Uint8Array;
	readonly peer: VerifiedPeer<P>;
	readonly remoteEpoch: number;
	readonly isResumed: boolean;
}

export interface Handshake<P> {
	/** Of the message that is awaited now. */
	readonly bytesMax: number;
	step(event: HandshakeEvent<P>, nowMs: number): readonly HandshakeEffect<P>[];
}

/** Thrown inside a state machine; becomes `fail`. */
export class Refusal extends Error {
	readonly alert: Alert | undefined;
	readonly reason: MeshError;

	constructor(reason: MeshError, alert?: Alert) {
		super(reason.message);
		this.reason = reason;
		this.alert = alert;
	}
}

/** One message for whatever went wrong behind the gate: which check it was helps an attacker only. */
export function generic(config: { readonly remote: PeerId | undefined }): Refusal {
	return new Refusal(unauthorized(config.remote, 'the handshake does not verify'), 'failed');
}

export function unauthorized(remote: PeerId | undefined, why: string, reason: RefusalReason = 'handshake'): MeshError {
	return new MeshError('unauthorized', `BMS/1: ${remote ?? 'the other side'}: ${why}`, {
		...peerOption(remote),
		details: { refusal: reason },
	});
}

/** What the other side's alert means to us. Nobody vouches for an alert: it only ends the attempt. */
export function alerted(remote: PeerId | undefined, alert: Alert): MeshError {
	const who = `BMS/1: ${remote ?? 'the other side'}`;
	switch (alert) {
		case 'version':
			return unauthorized(remote, 'speaks another version: update the older side', 'version');
		case 'gate':
			return unauthorized(
				remote,
				'refused us: other mesh or plane, or our pre-shared key is not (or no longer) theirs',
				'refused_us',
			);
		case 'suite':
			return unauthorized(remote, 'refused us: it shares no cipher with us', 'refused_us');
		case 'certificate':
			return unauthorized(
				remote,
				'refused our certificate: it may have expired or been revoked; enrol again',
				'refused_us',
			);
		case 'busy':
			return new MeshError('exhausted', `${who} has too many handshakes: try again in a second`, peerOption(remote));
		case 'unready':
			return new MeshError('unavailable', `${who} has no certificate yet`, peerOption(remote));
		case 'failed':
			return unauthorized(remote, 'says that our handshake does not verify', 'refused_us');
	}
}

/** Runs a step; any throw ends the machine with `fail`. */
export function guarded<P>(
	config: HandshakeConfig<P>,
	step: () => readonly HandshakeEffect<P>[],
): readonly HandshakeEffect<P>[] {
	try {
		return step();
	} catch (thrown) {
		const { reason, alert } = thrown instanceof Refusal ? thrown : refusalOf(config, thrown);
		return [{ type: 'fail', error: reason, ...(alert === undefined ? {} : { alert }) }];
	}
}

function refusalOf<P>(config: HandshakeConfig<P>, thrown: unknown): Refusal {
	if (isMeshError(thrown, 'unavailable')) return new Refusal(thrown, 'unready');
	if (isMeshError(thrown, 'conflict')) {
		return new Refusal(unauthorized(config.remote, thrown.message, 'version'), 'version');
	}
	// Malformed messages, refused KEM keys and the like.
	const why = isMeshError(thrown) ? 'the handshake does not verify' : `the handshake failed: ${String(thrown)}`;
	return new Refusal(
		new MeshError('unauthorized', `BMS/1: ${config.remote ?? 'the other side'}: ${why}`, { cause: thrown }),
		'failed',
	);
}

/** Our answer to a certificate that the identity refused. */
export function certificateRefused(remote: PeerId | undefined, error: unknown): Refusal {
	const why = error instanceof Error ? error.message : String(error);
	return new Refusal(
		new MeshError('unauthorized', `BMS/1: certificate of ${remote ?? 'the other side'} refused: ${why}`, {
			cause: error,
			details: { refusal: 'certificate' satisfies RefusalReason },
			...peerOption(remote),
		}),
		'certificate',
	);
}

/** Both sides' view of who is who. */
export function rolesOf<P>(config: HandshakeConfig<P>, role: Role) {
	const { self, remote } = config;
	return role === 'initiator' ? { initiator: self, responder: remote } : { initiator: remote, responder: self };
}

export function contextFor<P>(config: HandshakeConfig<P>, role: Role): Uint8Array {
	const { initiator, responder } = rolesOf(config, role);
	return contextOf(config.protocol, initiator, responder);
}

/** The bytes that `signer` signs. */
export function statementOf<P>(
	config: HandshakeConfig<P>,
	own: Role,
	signer: Role,
	epochs: { readonly initiator: number; readonly responder: number },
	cid: string,
	transcript: Uint8Array,
): Uint8Array {
	return encodeStatement({
		role: signer,
		plane: PLANES[config.identity.plane],
		protocol: config.protocol,
		...rolesOf(config, own),
		initiatorEpoch: epochs.initiator,
		responderEpoch: epochs.responder,
		cid,
		transcript,
	});
}

function peerOption(remote: PeerId | undefined): { peer?: string } {
	return remote === undefined ? {} : { peer: remote };
}
