/**
 * An established session: its phases and timers, and the channels (streams) whose records it protects. Channel 0 is the
 * stream of the handshake; it carries the control records, and on a single-stream session the data too.
 */
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { Clock } from './clock.ts';
import {
	broken,
	EMPTY,
	type Established,
	OVERHEAD_BYTES,
	type PhaseEffect,
	Phases,
	PLAINTEXT_BYTES_MAX,
	RECORD,
	ReceiveLane,
	type RekeyConfig,
	type Role,
	type SealedRecord,
	SendLane,
	type SessionCrypto,
	StreamNumbers,
} from './core/index.ts';

/** Sealed at a time, records' overhead included. */
export const BATCH_BYTES = 256 * 1024;

export interface SessionComponents {
	readonly crypto: SessionCrypto;
	readonly clock: Clock;
	readonly rekey: RekeyConfig;
}

export class Session<P = unknown> {
	readonly role: Role;
	readonly remote: PeerId | undefined;
	readonly principal: P;
	/** CID of the other side's certificate. */
	readonly cid: string;
	readonly isResumed: boolean;
	/** Proved in the handshake; asked about again by `recheck`. */
	readonly certificate: Uint8Array;
	readonly #components: SessionComponents;
	readonly #suite: Established<P>['suite'];
	readonly #phases: Phases;
	readonly #channels = new Set<Channel>();
	readonly #remoteNumbers = new StreamNumbers();
	readonly #endListeners: ((error: Error) => void)[] = [];
	#base: Channel | undefined;
	#number = 0;
	#stopTimer: (() => void) | undefined;
	#timerMs = Number.POSITIVE_INFINITY;
	#held: PromiseWithResolvers<void> | undefined;
	#error: Error | undefined;

	constructor(
		components: SessionComponents,
		remote: PeerId | undefined,
		certificate: Uint8Array,
		established: Established<P>,
	) {
		const { crypto, clock, rekey } = components;
		this.#components = components;
		this.remote = remote;
		this.certificate = certificate;
		this.role = established.role;
		this.principal = established.peer.principal;
		this.cid = established.peer.cid;
		this.isResumed = established.isResumed;
		this.#suite = established.suite;
		this.#phases = new Phases(crypto, rekey, established.role, established.phaseSecret, clock.nowMs());
		this.#setTimer();
	}

	/** Why the session is over; undefined while it is not. */
	get error(): Error | undefined {
		return this.#error;
	}

	/** How often the keys were replaced. */
	get phase(): number {
		return this.#phases.sendPhase;
	}

	/** The stream of the handshake. `emit` sends a record in order with those that `seal` gives. */
	openBase(emit: (record: Uint8Array) => void): Channel {
		this.#base = this.#open('initiator', 0, emit);
		return this.#base;
	}

	/** A stream that we open, with its number. */
	openOwn(emit: (record: Uint8Array) => void): { readonly number: number; readonly channel: Channel } {
		const number = ++this.#number;
		return { number, channel: this.#open(this.role, number, emit) };
	}

	/** A stream that the other side opened. Throws when its number was used before. */
	openRemote(number: number, emit: (record: Uint8Array) => void): Channel {
		this.#remoteNumbers.take(number);
		return this.#open(this.role === 'initiator' ? 'responder' : 'initiator', number, emit);
	}

	onEnd(listener: (error: Error) => void): void {
		if (this.#error === undefined) this.#endListeners.push(listener);
		else listener(this.#error);
	}

	/** Ends the session, and so all of its streams and its connection. */
	end(error: Error): void {
		if (this.#error !== undefined) return;
		this.#error = error;
		this.#stopTimer?.();
		this.#phases.end();
		this.#channels.clear();
		this.#held?.reject(error);
		for (const listener of this.#endListeners.splice(0)) listener(error);
	}

	#open(opener: Role, number: number, emit: (record: Uint8Array) => void): Channel {
		if (this.#error !== undefined) throw this.#error;
		const { crypto } = this.#components;
		const writer = this.role;
		const reader: Role = writer === 'initiator' ? 'responder' : 'initiator';
		const sender = new SendLane(crypto, this.#suite, { opener, number, writer });
		const receiver = new ReceiveLane(crypto, this.#suite, { opener, number, writer: reader }, this.#phases.secrets);
		const channel = new Channel(sender, receiver, emit, this.#hooks, number === 0, () =>
			this.#channels.delete(channel),
		);
		this.#channels.add(channel);
		return channel;
	}

	readonly #hooks: ChannelHooks = {
		phases: () => {
			if (this.#error !== undefined) throw this.#error;
			return this.#phases;
		},
		sent: (bytes) => this.#perform(this.#phases.sent(bytes, this.#components.clock.nowMs())),
		opened: (channel, phase, type, plaintext) => {
			const nowMs = this.#components.clock.nowMs();
			const { isBase } = channel;
			if (isBase) this.#perform(this.#phases.peerWritesIn(phase, nowMs));
			if (type === RECORD.control) {
				if (!isBase) throw broken();
				this.#perform(this.#phases.control(plaintext, phase, nowMs));
			} else if (plaintext.byteLength > 0) {
				this.#perform(this.#phases.received(phase, plaintext.byteLength + OVERHEAD_BYTES, nowMs));
			}
			if (this.#error !== undefined) throw this.#error;
		},
		writable: () => {
			if (this.#error !== undefined) return Promise.reject(this.#error);
			this.#held ??= handled(Promise.withResolvers<void>());
			return this.#held.promise;
		},
		broke: (error) => this.end(error),
	};

	#perform(effects: readonly PhaseEffect[]): void {
		for (const effect of effects) {
			switch (effect.type) {
				case 'control':
					this.#base?.sendControl(effect.payload);
					break;
				case 'install':
					for (const channel of this.#channels) channel.install(effect.phase, effect.secret);
					break;
				case 'switch': {
					for (const channel of this.#channels) channel.announce();
					const held = this.#held;
					this.#held = undefined;
					held?.resolve();
					break;
				}
				case 'fail':
					this.end(effect.error);
					return;
			}
		}
		this.#setTimer();
	}

	#setTimer(): void {
		if (this.#error !== undefined) return;
		const { clock } = this.#components;
		const deadlineMs = this.#phases.nextDeadlineMs();
		if (deadlineMs === this.#timerMs) return;
		this.#stopTimer?.();
		this.#timerMs = deadlineMs;
		this.#stopTimer = clock.after(Math.max(0, deadlineMs - clock.nowMs()), () => {
			this.#timerMs = Number.POSITIVE_INFINITY;
			this.#perform(this.#phases.tick(clock.nowMs()));
		});
	}
}

/** What a channel needs of its session. */
interface ChannelHooks {
	/** Throws when the session is over. */
	phases(): Phases;
	sent(bytes: number): void;
	opened(channel: Channel, phase: number, type: SealedRecord['type'], plaintext: Uint8Array): void;
	/** Resolves when a new phase may be written in. */
	writable(): Promise<void>;
	broke(error: Error): void;
}

/** Both directions of one stream. */
export class Channel {
	readonly #sender: SendLane;
	readonly #receiver: ReceiveLane;
	readonly #emit: (record: Uint8Array) => void;
	readonly #hooks: ChannelHooks;
	readonly #release: () => void;
	/** Carries the control records, and so speaks in each phase to the session's end. */
	readonly isBase: boolean;
	#hasSent = false;
	#sendEnded = false;
	#receiveEnded = false;

	constructor(
		sender: SendLane,
		receiver: ReceiveLane,
		emit: (record: Uint8Array) => void,
		hooks: ChannelHooks,
		isBase: boolean,
		release: () => void,
	) {
		this.#sender = sender;
		this.#receiver = receiver;
		this.#emit = emit;
		this.#hooks = hooks;
		this.isBase = isBase;
		this.#release = release;
	}

	/** True when the other side's end was read: what comes after is not lost by accident. */
	get hasReceivedEnd(): boolean {
		return this.#receiveEnded;
	}

	get hasSentEnd(): boolean {
		return this.#sendEnded;
	}

	/**
	 * Seals the beginning of `data`, as much as the phase and a batch allow. `taken` is 0 when the phase is used up:
	 * await {@link writable}. The records must go out in the order in which they were sealed. They are written to
	 * `scratch` where one is given, of at least {@link BATCH_BYTES}; then they are good until it is used again.
	 */
	seal(data: Uint8Array, scratch?: Uint8Array): { readonly records: Uint8Array; readonly taken: number } {
		const phases = this.#hooks.phases();
		const allowance = Math.min(phases.sendableBytes, BATCH_BYTES);
		const { sendPhase, sendSecret } = phases;
		const sizes = recordSizes(data.byteLength, allowance);
		const taken = sizes.reduce((sum, size) => sum + size, 0);
		if (taken === 0) return { records: EMPTY, taken };
		const bytes = taken + sizes.length * OVERHEAD_BYTES;
		const records = scratch?.subarray(0, bytes) ?? new Uint8Array(bytes);
		let from = 0;
		let at = 0;
		for (const size of sizes) {
			this.#sender.sealInto(records, at, sendPhase, sendSecret, RECORD.data, data.subarray(from, from + size));
			from += size;
			at += size + OVERHEAD_BYTES;
		}
		this.#hasSent = true;
		return { records, taken };
	}

	/** To be called after the records of {@link seal} went out: this may send more. */
	sent(records: Uint8Array): void {
		this.#hooks.sent(records.byteLength);
	}

	writable(): Promise<void> {
		return this.#hooks.writable();
	}

	/** The record that ends our half. */
	sealEnd(): Uint8Array {
		this.#sendEnded = true;
		return this.#seal(RECORD.end, EMPTY);
	}

	/** The data of a record; undefined when it was no data. Ends the session and throws when anything is wrong. */
	open(record: SealedRecord): Uint8Array | undefined {
		try {
			this.#hooks.phases();
			if (this.#receiveEnded && record.type !== RECORD.control && record.sealed.byteLength > 16) throw broken();
			const { phase, plaintext } = this.#receiver.open(record);
			this.#hooks.opened(this, phase, record.type, plaintext);
			if (record.type === RECORD.end) {
				if (this.#receiveEnded || plaintext.byteLength > 0) throw broken();
				this.#receiveEnded = true;
			}
			return record.type === RECORD.data && plaintext.byteLength > 0 ? plaintext : undefined;
		} catch (error) {
			this.#hooks.broke(error as Error);
			throw error;
		}
	}

	/** The stream is over in both directions, or was reset. */
	release(): void {
		this.#release();
	}

	sendControl(payload: Uint8Array): void {
		this.#emit(this.#seal(RECORD.control, payload));
	}

	install(phase: number, secret: Uint8Array): void {
		this.#receiver.install(phase, secret);
	}

	/** Tells the reader of an open stream about the new phase, so that it can forget the old one's key. */
	announce(): void {
		if (this.isBase || (this.#hasSent && !this.#sendEnded)) this.#emit(this.#seal(RECORD.data, EMPTY));
	}

	#seal(type: SealedRecord['type'], plaintext: Uint8Array): Uint8Array {
		const { sendPhase, sendSecret } = this.#hooks.phases();
		this.#hasSent = true;
		return this.#sender.seal(sendPhase, sendSecret, type, plaintext);
	}
}

/** Plaintext bytes of each record. */
function recordSizes(bytes: number, allowance: number): readonly number[] {
	const sizes: number[] = [];
	let left = bytes;
	let room = allowance;
	while (left > 0 && room > OVERHEAD_BYTES) {
		const size = Math.min(left, PLAINTEXT_BYTES_MAX, room - OVERHEAD_BYTES);
		sizes.push(size);
		left -= size;
		room -= size + OVERHEAD_BYTES;
	}
	return sizes;
}

function handled(resolvers: PromiseWithResolvers<void>): PromiseWithResolvers<void> {
	resolvers.promise.catch(() => undefined);
	return resolvers;
}

/** The error of streams whose connection went away under them. */
export function cutOff(): MeshError {
	return new MeshError('unavailable', 'BMS/1: the stream was cut off before its end', { applied: 'maybe' });
}
