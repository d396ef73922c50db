/**
 * A stream of a session, both directions: data into records and back. What is sealed has to go out in the order in which
 * it was sealed; whoever owns the stream below sees to that.
 */
import { MeshError } from '../../errors.ts';
import {
	broken,
	EMPTY,
	OVERHEAD_BYTES,
	type Phases,
	PLAINTEXT_BYTES_MAX,
	RECORD,
	RECORD_BYTES_MAX,
	type ReceiveLane,
	type SealedRecord,
	type SendLane,
	TAG_BYTES,
} from './core/index.ts';

/** Sealed at a time, records' overhead included. */
export const BATCH_BYTES = 256 * 1024;

/** What a channel needs of its session. */
export interface ChannelHooks {
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
		const { sendPhase, sendSecret } = phases;
		const taken = takable(data.byteLength, Math.min(phases.sendableBytes, BATCH_BYTES));
		if (taken === 0) return { records: EMPTY, taken };
		const bytes = taken + Math.ceil(taken / PLAINTEXT_BYTES_MAX) * OVERHEAD_BYTES;
		// Every byte is written to, so none needs to be zero first.
		const records = scratch?.subarray(0, bytes) ?? Buffer.allocUnsafe(bytes);
		for (let from = 0, at = 0; from < taken; ) {
			const plaintext = data.subarray(from, Math.min(taken, from + PLAINTEXT_BYTES_MAX));
			this.#sender.sealInto(records, at, sendPhase, sendSecret, RECORD.data, plaintext);
			from += plaintext.byteLength;
			at += plaintext.byteLength + OVERHEAD_BYTES;
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
			if (this.#receiveEnded && record.type !== RECORD.control && record.sealed.byteLength > TAG_BYTES) throw broken();
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

/** How many bytes of plaintext fit into full records, and one that may be shorter, of `allowance` bytes in all. */
function takable(bytes: number, allowance: number): number {
	const rest = allowance % RECORD_BYTES_MAX;
	const room = Math.floor(allowance / RECORD_BYTES_MAX) * PLAINTEXT_BYTES_MAX + Math.max(0, rest - OVERHEAD_BYTES);
	return Math.min(bytes, room);
}

/** The error of streams whose connection went away under them. */
export function cutOff(): MeshError {
	return new MeshError('unavailable', 'BMS/1: the stream was cut off before its end', { applied: 'maybe' });
}
