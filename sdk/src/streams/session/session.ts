/**
 * An established session: its phases and timers, and the channels (streams) whose records it protects. Channel 0 is the
 * stream of the handshake; it carries the control records, and on a single-stream session the data too.
 */
import type { PeerId } from '../../wire/ids.ts';
import { Channel, type ChannelHooks } from './channel.ts';
import type { Clock } from './clock.ts';
import {
	broken,
	type Established,
	OVERHEAD_BYTES,
	type PhaseEffect,
	Phases,
	RECORD,
	ReceiveLane,
	type RekeyConfig,
	type Role,
	SendLane,
	type SessionCrypto,
	StreamNumbers,
} from './core/index.ts';

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

	/** Streams that are open, the handshake's included. */
	get streams(): number {
		return this.#channels.size;
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

function handled(resolvers: PromiseWithResolvers<void>): PromiseWithResolvers<void> {
	resolvers.promise.catch(() => undefined);
	return resolvers;
}
