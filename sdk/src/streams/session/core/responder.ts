/**
 * The side that answers. Checks in this order, cheapest first: size and layout, plane and domain, the gate under the
 * pre-shared key, rate and cookie, replay; only then X-Wing and a signature. Sends its own certificate to whoever knows
 * the pre-shared key, and names nobody to others.
 */
import { concat } from '../../../wire/bytes.ts';
import { EMPTY, equalBytes } from './bytes.ts';
import { NONCE_BYTES, type SuiteId } from './crypto.ts';
import {
	alerted,
	certificateRefused,
	contextFor,
	generic,
	guarded,
	type Handshake,
	type HandshakeConfig,
	type HandshakeEffect,
	type HandshakeEvent,
	Refusal,
	statementOf,
	unauthorized,
} from './handshake.ts';
import { PLANES, type VerifiedPeer } from './identity.ts';
import { credentialOf } from './initiator.ts';
import { gateOf, handshakeKeys, handshakeSecret, sessionSecrets } from './key-schedule.ts';
import type { Admission } from './limits.ts';
import {
	CREDENTIAL,
	type DecodedM1,
	decodeAlert,
	decodeM1,
	decodeProof,
	decodeSealed,
	encodeM2Head,
	encodeProof,
	encodeRetry,
	encodeSealedHead,
	M1_BYTES_MAX,
	MESSAGE,
	MESSAGE_BYTES_MAX,
	MODE,
	type Proof,
	PSKS_MAX,
	typeOf,
} from './messages.ts';
import type { RefusalReason } from './refusal-reason.ts';
import type { Ticket } from './tickets.ts';

interface Offer {
	readonly m1: DecodedM1;
	readonly m1Bytes: Uint8Array;
	readonly psk: Uint8Array;
	/** Which of M1's gates is made with it. */
	readonly gate: number;
	readonly suite: SuiteId;
}

interface Answered {
	readonly suite: SuiteId;
	readonly secret: Uint8Array;
	readonly epochs: { readonly initiator: number; readonly responder: number };
	readonly transcript: Uint8Array;
	readonly isResumed: boolean;
}

type State = 'awaits M1' | 'verifies ticket' | 'awaits M3' | 'verifies' | 'over';

export class Responder<P> implements Handshake<P> {
	readonly #config: HandshakeConfig<P>;
	readonly #admission: Admission;
	readonly #context: Uint8Array;
	#state: State = 'awaits M1';
	#retried = false;
	#offer: Offer | undefined;
	#ticket: Ticket | undefined;
	/** The initiator's certificate as we have it, fixed when we said so. */
	#known: { readonly cid: string; readonly bytes: Uint8Array } | undefined;
	#answered: Answered | undefined;
	#proof: Proof | undefined;
	#peer: VerifiedPeer<P> | undefined;
	#transcript: Uint8Array = EMPTY;

	constructor(config: HandshakeConfig<P>, admission: Admission) {
		this.#config = config;
		this.#admission = admission;
		this.#context = contextFor(config, 'responder');
	}

	/** Strangers are read no more of than an M1 can have. */
	get bytesMax(): number {
		return this.#state === 'awaits M1' ? M1_BYTES_MAX : MESSAGE_BYTES_MAX;
	}

	step(event: HandshakeEvent<P>, nowMs: number): readonly HandshakeEffect<P>[] {
		if (this.#state === 'over') return [];
		const effects = guarded(this.#config, () => this.#step(event, nowMs));
		const last = effects.at(-1)?.type;
		if (last === 'fail' || last === 'established') this.#end();
		return effects;
	}

	#step(event: HandshakeEvent<P>, nowMs: number): readonly HandshakeEffect<P>[] {
		switch (event.type) {
			case 'start':
				return [];
			case 'message':
				return this.#receive(event.bytes, nowMs);
			case 'verified':
				return this.#state === 'verifies ticket' ? this.#resume(event.peer) : this.#verified(event.peer, nowMs);
			case 'refused':
				throw certificateRefused(this.#config.remote, event.error);
		}
	}

	#receive(bytes: Uint8Array, nowMs: number): readonly HandshakeEffect<P>[] {
		const type = typeOf(bytes);
		if (type === MESSAGE.alert) throw new Refusal(alerted(this.#config.remote, decodeAlert(bytes)));
		if (this.#state === 'awaits M1' && type === MESSAGE.m1) return this.#receiveM1(bytes, nowMs);
		if (this.#state === 'awaits M3' && type === MESSAGE.m3) return this.#receiveM3(bytes, nowMs);
		throw generic(this.#config);
	}

	#receiveM1(bytes: Uint8Array, nowMs: number): readonly HandshakeEffect<P>[] {
		const { crypto, identity, remote, tickets } = this.#config;
		const m1 = decodeM1(bytes);
		const { psk, gate } = this.#passGate(m1);
		const suite = crypto.suites.find((id) => m1.suites.includes(id));
		if (suite === undefined) {
			throw new Refusal(
				unauthorized(remote, `offers ciphers ${m1.suites.join()}, we need ${crypto.suites.join()}`, 'suite'),
				'suite',
			);
		}
		switch (this.#admission.admit(m1, nowMs)) {
			case 'busy':
				throw new Refusal(alerted(undefined, 'busy'), 'busy');
			case 'replay':
				throw generic(this.#config);
			case 'retry':
				if (this.#retried) throw generic(this.#config);
				this.#retried = true;
				return [{ type: 'send', bytes: encodeRetry(this.#admission.cookie(m1, nowMs)) }];
			case 'go':
				break;
		}
		this.#offer = { m1, m1Bytes: bytes, psk, gate, suite };
		const epoch = identity.epoch();
		this.#ticket = m1.epoch === epoch ? tickets.takeIssued(m1.ticket, remote, epoch, nowMs) : undefined;
		const certificate = this.#ticket === undefined ? undefined : identity.known(this.#ticket.cid);
		if (certificate === undefined) {
			this.#ticket = undefined;
			return this.#answerInFull();
		}
		// Revocation is asked about again: the session may be resumed, trust is not.
		this.#state = 'verifies ticket';
		return [{ type: 'verify', certificate }];
	}

	#passGate(m1: DecodedM1): { readonly psk: Uint8Array; readonly gate: number } {
		const { crypto, identity, remote } = this.#config;
		const refuse = (reason: RefusalReason, why: string): Refusal =>
			new Refusal(unauthorized(remote, why, reason), 'gate');
		if (m1.plane !== PLANES[identity.plane])
			throw refuse('plane', `is of plane ${m1.plane}, we are of the ${identity.plane} plane`);
		if (!equalBytes(m1.domain, identity.domain)) throw refuse('mesh', 'belongs to another mesh or owner');
		// Of two that both sides know, the one that is newer here: during a rotation some have only one of them.
		for (const psk of identity.psks().slice(0, PSKS_MAX)) {
			const expected = gateOf(crypto, psk, this.#context, m1.gated);
			const gate = m1.gates.findIndex((given) => equalBytes(given, expected));
			if (gate >= 0) return { psk, gate };
		}
		throw refuse('psk', 'does not know our pre-shared key');
	}

	#answerInFull(): readonly HandshakeEffect<P>[] {
		const { identity, remembered } = this.#config;
		const { m1, own, secret, headHash, head, keys, epochs } = this.#encapsulate(EMPTY, MODE.full);
		const bytes = remembered === undefined ? undefined : identity.known(remembered);
		this.#known = remembered === undefined || bytes === undefined ? undefined : { cid: remembered, bytes };
		const statement = statementOf(this.#config, 'responder', 'responder', epochs, own.cid, headHash);
		const proved = encodeProof({
			credential: credentialOf(own, m1.knows),
			knows: this.#known?.cid ?? '',
			signature: identity.sign(statement),
		});
		return this.#sendM2(head, keys.seal(concat(proved, keys.finished(headHash, proved)), headHash), {
			secret,
			epochs,
			headHash,
			isResumed: false,
		});
	}

	#resume(peer: VerifiedPeer<P>): readonly HandshakeEffect<P>[] {
		const ticket = this.#ticket;
		if (ticket === undefined || peer.cid !== ticket.cid) throw generic(this.#config);
		this.#peer = peer;
		const { secret, headHash, head, keys, epochs } = this.#encapsulate(ticket.secret, MODE.resumed);
		const sealed = keys.seal(keys.finished(headHash, EMPTY), headHash);
		return this.#sendM2(head, sealed, { secret, epochs, headHash, isResumed: true });
	}

	/** The first asymmetric operation of the handshake on this side. */
	#encapsulate(resumption: Uint8Array, mode: number) {
		const { crypto, identity } = this.#config;
		const offer = this.#offer;
		if (offer === undefined) throw generic(this.#config);
		const { m1, m1Bytes, psk, gate, suite } = offer;
		const own = identity.certificate();
		const { ciphertext, sharedSecret } = crypto.encapsulate(m1.kemPublicKey);
		const epochs = { initiator: m1.epoch, responder: identity.epoch() };
		const nonce = crypto.randomBytes(NONCE_BYTES);
		const head = encodeM2Head({ suite, mode, gate, epoch: epochs.responder, nonce, kemCiphertext: ciphertext });
		const secret = handshakeSecret(crypto, psk, identity.domain, sharedSecret, resumption);
		sharedSecret.fill(0);
		const headHash = crypto.sha256(this.#context, m1Bytes, head);
		return { m1, own, secret, headHash, head, keys: handshakeKeys(crypto, suite, secret, 'M2', headHash), epochs };
	}

	#sendM2(
		head: Uint8Array,
		sealed: Uint8Array,
		{ headHash, ...rest }: Omit<Answered, 'suite' | 'transcript'> & { readonly headHash: Uint8Array },
	): readonly HandshakeEffect<P>[] {
		const suite = this.#offer?.suite;
		if (suite === undefined) throw generic(this.#config);
		this.#answered = { ...rest, suite, transcript: this.#config.crypto.sha256(headHash, sealed) };
		this.#state = 'awaits M3';
		return [{ type: 'send', bytes: concat(head, sealed) }];
	}

	#receiveM3(bytes: Uint8Array, nowMs: number): readonly HandshakeEffect<P>[] {
		const { crypto } = this.#config;
		const { suite, secret, transcript, isResumed } = this.#expectAnswered();
		const sealed = decodeSealed(bytes, 'M3');
		const keys = handshakeKeys(crypto, suite, secret, 'M3', transcript);
		const opened = keys.open(sealed, transcript);
		if (opened === undefined) throw generic(this.#config);
		this.#transcript = crypto.sha256(transcript, encodeSealedHead(MESSAGE.m3), sealed);
		if (isResumed) {
			if (!equalBytes(opened, keys.finished(transcript, EMPTY))) throw generic(this.#config);
			return this.#accept(nowMs);
		}
		const proof = decodeProof(opened);
		if (!equalBytes(proof.finished, keys.finished(transcript, proof.proved))) throw generic(this.#config);
		this.#proof = proof;
		this.#state = 'verifies';
		return [{ type: 'verify', certificate: this.#certificateOf(proof) }];
	}

	#certificateOf({ credential: { kind, value } }: Proof): Uint8Array {
		if (kind === CREDENTIAL.bytes) return value;
		const known = this.#known;
		if (known === undefined || String.fromCharCode(...value) !== known.cid) throw generic(this.#config);
		return known.bytes;
	}

	#verified(peer: VerifiedPeer<P>, nowMs: number): readonly HandshakeEffect<P>[] {
		const { epochs, transcript } = this.#expectAnswered();
		const proof = this.#proof;
		if (this.#state !== 'verifies' || proof === undefined) throw generic(this.#config);
		if (peer.cid === this.#config.identity.certificate().cid) throw generic(this.#config);
		const said = statementOf(this.#config, 'responder', 'initiator', epochs, peer.cid, transcript);
		if (!peer.verifySignature(said, proof.signature)) throw generic(this.#config);
		this.#peer = peer;
		return this.#accept(nowMs);
	}

	#accept(nowMs: number): readonly HandshakeEffect<P>[] {
		const { crypto, identity, remote, tickets } = this.#config;
		const { suite, secret, epochs, isResumed } = this.#expectAnswered();
		const peer = this.#peer;
		if (peer === undefined) throw generic(this.#config);
		const m4 = handshakeKeys(crypto, suite, secret, 'M4', this.#transcript).seal(EMPTY, this.#transcript);
		const { phase, resumption, ticket } = sessionSecrets(crypto, secret, this.#transcript);
		if (remote !== undefined) {
			tickets.issue({ id: ticket, secret: resumption, remote, cid: peer.cid, epoch: identity.epoch() }, nowMs);
		}
		return [
			{ type: 'send', bytes: concat(encodeSealedHead(MESSAGE.m4), m4) },
			{
				type: 'established',
				session: {
					role: 'responder',
					suite,
					phaseSecret: phase,
					peer,
					remoteEpoch: epochs.initiator,
					isResumed,
				},
			},
		];
	}

	#expectAnswered(): Answered {
		if (this.#answered === undefined) throw generic(this.#config);
		return this.#answered;
	}

	#end(): void {
		this.#state = 'over';
		this.#answered?.secret.fill(0);
		this.#ticket?.secret.fill(0);
		this.#offer = undefined;
	}
}
