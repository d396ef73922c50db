/**
 * The phases of a session: a secret each, a fresh X-Wing between them, and the limits at which they end. Three messages
 * on the control stream change the phase, so that nobody writes in one that the other side cannot read yet:
 *
 *   initiator                        responder
 *   REKEY    n+1, ekXW  ──────────►
 *                       ◄──────────  ANSWER n+1, ctXW     the responder can read n+1
 *   (can read n+1, writes in n+1)
 *   SWITCH   n+1        ──────────►                       (writes in n+1)
 *
 * Whoever reaches a limit stops writing data until the next phase is there, so nothing is lost; who is kept waiting for
 * it too long ends the session. Effects are performed in order.
 */
import { MeshError } from '../../../errors.ts';
import { malformed, Reader, Writer } from './bytes.ts';
import { type EphemeralKey, KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_KEY_BYTES, type SessionCrypto } from './crypto.ts';
import { nextPhaseSecret, type Role } from './key-schedule.ts';
import { broken, OVERHEAD_BYTES } from './records.ts';

export interface RekeyLimits {
	/** Age at which a phase is replaced. Default 60 min. */
	readonly phaseMs?: number;
	/** Bytes in one direction after which a phase is replaced. Default 1 GiB. */
	readonly phaseBytes?: number;
	/** How long a replacement may take before the session ends. Default 60 s. */
	readonly graceMs?: number;
	/** Bytes beyond `phaseBytes` that may be sent meanwhile. Default 1 MiB. */
	readonly graceBytes?: number;
}

export type RekeyConfig = Required<RekeyLimits>;

export function resolveRekey(limits: RekeyLimits = {}): RekeyConfig {
	const config = { phaseMs: 60 * 60_000, phaseBytes: 2 ** 30, graceMs: 60_000, graceBytes: 2 ** 20, ...limits };
	// Less would hold a writer back before it has asked for the next phase, for ever.
	if (config.graceBytes < OVERHEAD_BYTES) {
		throw new MeshError(
			'invalid_input',
			`graceBytes is ${config.graceBytes}; a record takes ${OVERHEAD_BYTES} at least`,
		);
	}
	return Object.freeze(config);
}

export type PhaseEffect =
	/** Send this in a control record. */
	| { readonly type: 'control'; readonly payload: Uint8Array }
	/** This phase can be read from now on: open lanes need its key. */
	| { readonly type: 'install'; readonly phase: number; readonly secret: Uint8Array }
	/** Write in the new phase from now on: announce it on every open stream, let held-back writers go on. */
	| { readonly type: 'switch' }
	| { readonly type: 'fail'; readonly error: MeshError };

const CONTROL = { rekey: 1, answer: 2, switch: 3, wanted: 4 } as const;
const NONE: readonly PhaseEffect[] = [];

/** Old secrets are kept for streams that were opened in their phase and are still on the way here. */
const OLD_MS = 10 * 60_000;
const OLD_MAX = 256;

export class Phases {
	readonly #crypto: SessionCrypto;
	readonly #config: RekeyConfig;
	readonly #role: Role;
	/** Readable phases, oldest first. */
	readonly #secrets = new Map<number, Uint8Array>();
	readonly #replacedMs = new Map<number, number>();
	#sendPhase = 0;
	#top = 0;
	#sentBytes = 0;
	readonly #receivedBytes = new Map<number, number>();
	#startedMs: number;
	/** The phase in which the other side last wrote on the control stream. */
	#peerPhase = 0;
	/** When we found the phase to be over. */
	#dueMs: number | undefined;
	#key: EphemeralKey | undefined;
	#request: Uint8Array | undefined;

	constructor(crypto: SessionCrypto, config: RekeyConfig, role: Role, secret: Uint8Array, nowMs: number) {
		this.#crypto = crypto;
		this.#config = config;
		this.#role = role;
		this.#secrets.set(0, secret);
		this.#startedMs = nowMs;
	}

	get sendPhase(): number {
		return this.#sendPhase;
	}

	get sendSecret(): Uint8Array {
		const secret = this.#secrets.get(this.#sendPhase);
		if (secret === undefined) throw new MeshError('internal', 'BMS/1: the session is over');
		return secret;
	}

	get secrets(): ReadonlyMap<number, Uint8Array> {
		return this.#secrets;
	}

	/** Bytes of data records that may still be sealed in this phase. */
	get sendableBytes(): number {
		return Math.max(0, this.#config.phaseBytes + this.#config.graceBytes - this.#sentBytes);
	}

	sent(bytes: number, nowMs: number): readonly PhaseEffect[] {
		this.#sentBytes += bytes;
		return this.#sentBytes >= this.#config.phaseBytes ? this.#replace(nowMs) : NONE;
	}

	received(phase: number, bytes: number, nowMs: number): readonly PhaseEffect[] {
		const total = (this.#receivedBytes.get(phase) ?? 0) + bytes;
		this.#receivedBytes.set(phase, total);
		const { phaseBytes, graceBytes } = this.#config;
		if (total > phaseBytes + graceBytes) return [{ type: 'fail', error: overdue('bytes') }];
		return total >= phaseBytes && phase === this.#top ? this.#replace(nowMs) : NONE;
	}

	/** A record on the control stream was in this phase; tells how far the other side has switched. */
	peerWritesIn(phase: number, nowMs: number): readonly PhaseEffect[] {
		if (phase <= this.#peerPhase) return NONE;
		this.#peerPhase = phase;
		return this.tick(nowMs);
	}

	tick(nowMs: number): readonly PhaseEffect[] {
		this.#forgetOld(nowMs);
		const { phaseMs, graceMs } = this.#config;
		if (this.#dueMs !== undefined && nowMs >= this.#dueMs + graceMs) return [{ type: 'fail', error: overdue('time') }];
		const isOver =
			this.#dueMs !== undefined ||
			nowMs >= this.#startedMs + phaseMs ||
			this.#sentBytes >= this.#config.phaseBytes ||
			(this.#receivedBytes.get(this.#top) ?? 0) >= this.#config.phaseBytes;
		return isOver ? this.#replace(nowMs) : NONE;
	}

	nextDeadlineMs(): number {
		const { phaseMs, graceMs } = this.#config;
		return this.#dueMs === undefined ? this.#startedMs + phaseMs : this.#dueMs + graceMs;
	}

	/** A control record's payload. */
	control(payload: Uint8Array, phase: number, nowMs: number): readonly PhaseEffect[] {
		const reader = new Reader(payload, 'control record');
		const type = reader.u8();
		const target = reader.u32();
		switch (type) {
			case CONTROL.wanted:
				reader.end();
				return this.#role === 'initiator' && target === this.#top + 1 ? this.#replace(nowMs) : NONE;
			case CONTROL.rekey: {
				const publicKey = reader.bytes(KEM_PUBLIC_KEY_BYTES);
				reader.end();
				return this.#answer(target, publicKey, payload, nowMs);
			}
			case CONTROL.answer: {
				const ciphertext = reader.bytes(KEM_CIPHERTEXT_BYTES);
				reader.end();
				return this.#receiveAnswer(target, ciphertext, payload, nowMs);
			}
			case CONTROL.switch:
				reader.end();
				if (this.#role !== 'responder' || target !== this.#top || phase !== target || this.#sendPhase !== target - 1) {
					throw broken();
				}
				return this.#switch(target, nowMs, []);
			default:
				throw malformed('control record');
		}
	}

	/** Forgets every secret. */
	end(): void {
		for (const secret of this.#secrets.values()) secret.fill(0);
		this.#secrets.clear();
		this.#key = undefined;
	}

	/** Asks for the next phase, unless that is under way or the other side has not come to this one yet. */
	#replace(nowMs: number): readonly PhaseEffect[] {
		const isNew = this.#dueMs === undefined;
		this.#dueMs ??= nowMs;
		if (this.#top !== this.#sendPhase || this.#key !== undefined) return NONE;
		const next = this.#top + 1;
		if (this.#role === 'responder') {
			return isNew ? [{ type: 'control', payload: new Writer().u8(CONTROL.wanted).u32(next).done() }] : NONE;
		}
		if (this.#peerPhase !== this.#top) return NONE;
		this.#key = this.#crypto.createEphemeralKey();
		this.#request = new Writer().u8(CONTROL.rekey).u32(next).bytes(this.#key.publicKey).done();
		return [{ type: 'control', payload: this.#request }];
	}

	#answer(phase: number, publicKey: Uint8Array, request: Uint8Array, nowMs: number): readonly PhaseEffect[] {
		if (this.#role !== 'responder' || phase !== this.#top + 1 || this.#sendPhase !== this.#top) throw broken();
		const { ciphertext, sharedSecret } = this.#crypto.encapsulate(publicKey);
		const payload = new Writer().u8(CONTROL.answer).u32(phase).bytes(ciphertext).done();
		const install = this.#install(phase, sharedSecret, [request, payload]);
		// From here on the other side may take its time, but not for ever.
		this.#dueMs ??= nowMs;
		return [install, { type: 'control', payload }];
	}

	#receiveAnswer(phase: number, ciphertext: Uint8Array, answer: Uint8Array, nowMs: number): readonly PhaseEffect[] {
		if (this.#key === undefined || this.#request === undefined || phase !== this.#top + 1) throw broken();
		const install = this.#install(phase, this.#key.decapsulate(ciphertext), [this.#request, answer]);
		this.#key = undefined;
		this.#request = undefined;
		const payload = new Writer().u8(CONTROL.switch).u32(phase).done();
		return this.#switch(phase, nowMs, [install, { type: 'control', payload }]);
	}

	#install(phase: number, kemSecret: Uint8Array, exchange: readonly Uint8Array[]): PhaseEffect {
		const secret = nextPhaseSecret(this.#crypto, this.sendSecret, phase, kemSecret, exchange);
		kemSecret.fill(0);
		this.#secrets.set(phase, secret);
		this.#top = phase;
		return { type: 'install', phase, secret };
	}

	#switch(phase: number, nowMs: number, effects: readonly PhaseEffect[]): readonly PhaseEffect[] {
		this.#replacedMs.set(this.#sendPhase, nowMs);
		this.#sendPhase = phase;
		this.#sentBytes = 0;
		this.#startedMs = nowMs;
		this.#dueMs = undefined;
		this.#forgetOld(nowMs);
		// The control message first: it is then the new phase's first record on the control stream.
		return [...effects, { type: 'switch' }];
	}

	#forgetOld(nowMs: number): void {
		for (const [phase, replacedMs] of this.#replacedMs) {
			if (this.#replacedMs.size <= OLD_MAX && nowMs < replacedMs + OLD_MS) break;
			this.#secrets.get(phase)?.fill(0);
			this.#secrets.delete(phase);
			this.#receivedBytes.delete(phase);
			this.#replacedMs.delete(phase);
		}
	}
}

function overdue(what: 'bytes' | 'time'): MeshError {
	return new MeshError('unavailable', `BMS/1: the keys were not replaced in ${what === 'bytes' ? 'size' : 'time'}`, {
		applied: 'maybe',
	});
}
