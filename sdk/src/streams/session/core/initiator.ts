/**
 * The side that opens. Sends M1, and M3 only to a responder who has proved a certificate that the identity accepts; is
 * done when M4 says that ours was accepted too, so that a refusal is known before any application byte is sent.
 */
import { concat } from '../../../wire/bytes.ts';
import { EMPTY, equalBytes } from './bytes.ts';
import { type EphemeralKey, NONCE_BYTES, type SuiteId } from './crypto.ts';
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
import { gateOf, type HandshakeKeys, handshakeKeys, handshakeSecret, sessionSecrets } from './key-schedule.ts';
import {
	CREDENTIAL,
	decodeAlert,
	decodeM2,
	decodeProof,
	decodeRetry,
	decodeSealed,
	encodeM1,
	encodeProof,
	encodeSealedHead,
	type M1,
	MESSAGE,
	MESSAGE_BYTES_MAX,
	MODE,
	type Proof,
	PSKS_MAX,
	typeOf,
} from './messages.ts';
import type { Ticket } from './tickets.ts';

interface Answer {
	readonly suite: SuiteId;
	readonly secret: Uint8Array;
	readonly epoch: number;
	/** Hash over the context, M1 and M2's head: what the responder signed. */
	readonly headHash: Uint8Array;
	/** The same with all of M2. */
	readonly transcript: Uint8Array;
	/** Undefined when resumed. */
	readonly proof: Proof | undefined;
}

type State = 'new' | 'awaits M2' | 'verifies' | 'awaits M4' | 'over';

export class Initiator<P> implements Handshake<P> {
	readonly #config: HandshakeConfig<P>;
	readonly #context: Uint8Array;
	#state: State = 'new';
	#m1: M1 | undefined;
	#m1Bytes: Uint8Array = EMPTY;
	#psks: readonly Uint8Array[] = [];
	#key: EphemeralKey | undefined;
	#ticket: Ticket | undefined;
	/** The responder's certificate as we have it, fixed when we said so. */
	#known: { readonly cid: string; readonly bytes: Uint8Array } | undefined;
	#answer: Answer | undefined;
	#peer: VerifiedPeer<P> | undefined;
	#transcript: Uint8Array = EMPTY;

	constructor(config: HandshakeConfig<P>) {
		this.#config = config;
		this.#context = contextFor(config, 'initiator');
	}

	readonly bytesMax = MESSAGE_BYTES_MAX;

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
				return this.#start(nowMs);
			case 'message':
				return this.#receive(event.bytes, nowMs);
			case 'verified':
				return this.#verified(event.peer);
			case 'refused':
				throw certificateRefused(this.#config.remote, event.error);
		}
	}

	#start(nowMs: number): readonly HandshakeEffect<P>[] {
		const { crypto, identity, remote, remembered, tickets } = this.#config;
		// Throws `unavailable` while there is none: better before M1 than after.
		identity.certificate();
		this.#psks = identity.psks().slice(0, PSKS_MAX);
		if (this.#psks.length === 0) throw new Refusal(unauthorized(remote, 'we have no pre-shared key: enrol first'));
		this.#key = crypto.createEphemeralKey();
		this.#ticket = tickets.takeHeld(remote, identity.epoch(), nowMs);
		const cid = this.#ticket?.cid ?? remembered;
		const bytes = cid === undefined ? undefined : identity.known(cid);
		this.#known = cid === undefined || bytes === undefined ? undefined : { cid, bytes };
		// A ticket is of no use without the certificate that it stands for.
		if (this.#known === undefined) this.#ticket = undefined;
		this.#state = 'awaits M2';
		return this.#sendM1({
			suites: crypto.suites,
			plane: PLANES[identity.plane],
			domain: identity.domain,
			epoch: identity.epoch(),
			nonce: crypto.randomBytes(NONCE_BYTES),
			kemPublicKey: this.#key.publicKey,
			knows: this.#known?.cid ?? '',
			ticket: this.#ticket?.id ?? EMPTY,
			cookie: EMPTY,
			gateCount: this.#psks.length,
		});
	}

	#sendM1(m1: M1): readonly HandshakeEffect<P>[] {
		const gated = encodeM1(m1);
		this.#m1 = m1;
		const gates = this.#psks.map((psk) => gateOf(this.#config.crypto, psk, this.#context, gated));
		this.#m1Bytes = concat(gated, ...gates);
		return [{ type: 'send', bytes: this.#m1Bytes }];
	}

	#receive(bytes: Uint8Array, nowMs: number): readonly HandshakeEffect<P>[] {
		const type = typeOf(bytes);
		if (type === MESSAGE.alert) throw new Refusal(alerted(this.#config.remote, decodeAlert(bytes)));
		if (this.#state === 'awaits M2' && type === MESSAGE.m2) return this.#receiveM2(bytes);
		if (this.#state === 'awaits M2' && type === MESSAGE.retry) return this.#retry(bytes);
		if (this.#state === 'awaits M4' && type === MESSAGE.m4) return this.#receiveM4(bytes, nowMs);
		throw generic(this.#config);
	}

	/** The responder is under load and wants to see its own cookie first. Once: a second one would go on for ever. */
	#retry(bytes: Uint8Array): readonly HandshakeEffect<P>[] {
		const m1 = this.#m1;
		if (m1 === undefined || m1.cookie.byteLength > 0) throw generic(this.#config);
		return this.#sendM1({ ...m1, cookie: decodeRetry(bytes) });
	}

	#receiveM2(bytes: Uint8Array): readonly HandshakeEffect<P>[] {
		const { crypto, identity } = this.#config;
		const m2 = decodeM2(bytes);
		const suite = crypto.suites.find((id) => id === m2.suite);
		const isResumed = m2.mode === MODE.resumed;
		const psk = this.#psks[m2.gate];
		if (suite === undefined || psk === undefined || this.#key === undefined) throw generic(this.#config);
		if (isResumed && this.#ticket === undefined) throw generic(this.#config);
		const kemSecret = this.#key.decapsulate(m2.kemCiphertext);
		const resumption = isResumed && this.#ticket !== undefined ? this.#ticket.secret : EMPTY;
		const secret = handshakeSecret(crypto, psk, identity.domain, kemSecret, resumption);
		kemSecret.fill(0);
		const headHash = crypto.sha256(this.#context, this.#m1Bytes, m2.head);
		const keys = handshakeKeys(crypto, suite, secret, 'M2', headHash);
		const opened = keys.open(m2.sealed, headHash);
		if (opened === undefined) throw generic(this.#config);
		const transcript = crypto.sha256(headHash, m2.sealed);
		const proof = isResumed ? undefined : this.#checkProof(opened, keys, headHash);
		if (isResumed && !equalBytes(opened, keys.finished(headHash, EMPTY))) throw generic(this.#config);
		this.#answer = { suite, secret, epoch: m2.epoch, headHash, transcript, proof };
		this.#state = 'verifies';
		return [{ type: 'verify', certificate: this.#certificateOf(proof) }];
	}

	#checkProof(opened: Uint8Array, keys: HandshakeKeys, headHash: Uint8Array): Proof {
		const proof = decodeProof(opened);
		if (!equalBytes(proof.finished, keys.finished(headHash, proof.proved))) throw generic(this.#config);
		return proof;
	}

	#certificateOf(proof: Proof | undefined): Uint8Array {
		if (proof?.credential.kind === CREDENTIAL.bytes) return proof.credential.value;
		const known = this.#known;
		if (known === undefined) throw generic(this.#config);
		if (proof !== undefined && !equalText(proof.credential.value, known.cid)) throw generic(this.#config);
		return known.bytes;
	}

	#verified(peer: VerifiedPeer<P>): readonly HandshakeEffect<P>[] {
		const { crypto, identity } = this.#config;
		const { answer, own, epochs } = this.#expectAnswer();
		// Our own M1, answered by ourselves.
		if (peer.cid === own.cid) throw generic(this.#config);
		if (answer.proof === undefined) {
			if (peer.cid !== this.#known?.cid) throw generic(this.#config);
		} else {
			const said = statementOf(this.#config, 'initiator', 'responder', epochs, peer.cid, answer.headHash);
			if (!peer.verifySignature(said, answer.proof.signature)) throw generic(this.#config);
		}
		this.#peer = peer;
		const { suite, secret, transcript, proof } = answer;
		const keys = handshakeKeys(crypto, suite, secret, 'M3', transcript);
		const head = encodeSealedHead(MESSAGE.m3);
		let proved: Uint8Array = EMPTY;
		if (proof !== undefined) {
			const statement = statementOf(this.#config, 'initiator', 'initiator', epochs, own.cid, transcript);
			proved = encodeProof({
				credential: credentialOf(own, proof.knows),
				knows: '',
				signature: identity.sign(statement),
			});
		}
		const sealed = keys.seal(concat(proved, keys.finished(transcript, proved)), transcript);
		this.#transcript = crypto.sha256(transcript, head, sealed);
		this.#state = 'awaits M4';
		return [{ type: 'send', bytes: concat(head, sealed) }];
	}

	#receiveM4(bytes: Uint8Array, nowMs: number): readonly HandshakeEffect<P>[] {
		const { crypto, identity, remote, tickets } = this.#config;
		const { answer } = this.#expectAnswer();
		const peer = this.#peer;
		const { suite, secret } = answer;
		const keys = handshakeKeys(crypto, suite, secret, 'M4', this.#transcript);
		const opened = keys.open(decodeSealed(bytes, 'M4'), this.#transcript);
		if (peer === undefined || opened === undefined || opened.byteLength !== 0) throw generic(this.#config);
		const { phase, resumption, ticket } = sessionSecrets(crypto, secret, this.#transcript);
		if (remote !== undefined) {
			tickets.hold({ id: ticket, secret: resumption, remote, cid: peer.cid, epoch: identity.epoch() }, nowMs);
		}
		const session = {
			role: 'initiator' as const,
			suite,
			phaseSecret: phase,
			peer,
			remoteEpoch: answer.epoch,
			isResumed: answer.proof === undefined,
		};
		return [{ type: 'established', session }];
	}

	#expectAnswer() {
		const answer = this.#answer;
		const m1 = this.#m1;
		if (answer === undefined || m1 === undefined) throw generic(this.#config);
		return {
			answer,
			own: this.#config.identity.certificate(),
			epochs: { initiator: m1.epoch, responder: answer.epoch },
		};
	}

	#end(): void {
		this.#state = 'over';
		this.#answer?.secret.fill(0);
		this.#ticket?.secret.fill(0);
		this.#key = undefined;
	}
}

/** The CID where the other side has the certificate already. */
export function credentialOf(own: { readonly bytes: Uint8Array; readonly cid: string }, known: string) {
	if (known !== own.cid) return { kind: CREDENTIAL.bytes, value: own.bytes };
	const value = new Uint8Array(own.cid.length);
	for (let i = 0; i < value.length; i++) value[i] = own.cid.charCodeAt(i);
	return { kind: CREDENTIAL.cid, value };
}

function equalText(bytes: Uint8Array, text: string): boolean {
	return bytes.byteLength === text.length && bytes.every((byte, i) => byte === text.charCodeAt(i));
}
