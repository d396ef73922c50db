/** Both state machines of a handshake in one place, message by message, for tests that look at or tamper with each. */
import type { MeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import {
	type Established,
	type Handshake,
	type HandshakeConfig,
	type HandshakeEffect,
	HandshakeGuard,
	type HandshakeLimits,
	Initiator,
	type Pending,
	Responder,
	resolveLimits,
	type SessionCrypto,
	Tickets,
} from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';
import { createTestMesh, type TestIdentity, type TestMesh } from './identities.ts';

export const ALICE = '12D3KooWAlice' as PeerId;
export const BOB = '12D3KooWBob' as PeerId;
export const PROTOCOL = '/test/session/1';

/** Counts the costly operations. */
export interface CountingCrypto extends SessionCrypto {
	readonly counts: { kem: number; aead: number; hmac: number };
}

export function countingCrypto(overrides: Partial<SessionCrypto> = {}): CountingCrypto {
	const base = { ...nodeCrypto, ...overrides };
	const counts = { kem: 0, aead: 0, hmac: 0 };
	return {
		...base,
		counts,
		hmac: (key, ...parts) => {
			counts.hmac++;
			return base.hmac(key, ...parts);
		},
		createEphemeralKey: () => {
			counts.kem++;
			const key = base.createEphemeralKey();
			return {
				publicKey: key.publicKey,
				decapsulate: (ciphertext) => {
					counts.kem++;
					return key.decapsulate(ciphertext);
				},
			};
		},
		encapsulate: (publicKey) => {
			counts.kem++;
			return base.encapsulate(publicKey);
		},
		aead: (suite, key) => {
			counts.aead++;
			return base.aead(suite, key);
		},
	};
}

export interface Side {
	readonly config: HandshakeConfig<string>;
	readonly crypto: CountingCrypto;
	readonly identity: TestIdentity;
}

/** Alice opens, Bob answers. */
export class Pair {
	readonly mesh: TestMesh;
	readonly alice: Side;
	readonly bob: Side;
	readonly guard: HandshakeGuard;
	nowMs = 1_000;

	constructor(options: { mesh?: TestMesh; limits?: HandshakeLimits; alice?: Partial<SessionCrypto> } = {}) {
		this.mesh = options.mesh ?? createTestMesh();
		this.alice = side(this.mesh.issue('alice', ALICE), ALICE, BOB, options.alice);
		this.bob = side(this.mesh.issue('bob', BOB), BOB, ALICE);
		this.guard = new HandshakeGuard(this.bob.crypto, resolveLimits(options.limits));
	}

	initiator(changes: Partial<HandshakeConfig<string>> = {}): Machine {
		return new Machine(new Initiator({ ...this.alice.config, ...changes }), { ...this.alice.config, ...changes }, this);
	}

	responder(changes: Partial<HandshakeConfig<string>> = {}, address?: string): Machine {
		const config = { ...this.bob.config, ...changes };
		const pending: Pending = { address, hasPassedGate: false, evict: () => undefined };
		this.guard.begin(pending);
		return new Machine(new Responder(config, this.guard.admissionOf(pending, config.remote ?? '')), config, this);
	}

	/** A whole handshake; `tamper` sees each message on its way. */
	run(
		tamper: (message: Uint8Array, index: number) => Uint8Array = (message) => message,
		machines: { initiator?: Machine; responder?: Machine } = {},
	): { readonly initiator: Machine; readonly responder: Machine; readonly messages: Uint8Array[] } {
		const initiator = machines.initiator ?? this.initiator();
		const responder = machines.responder ?? this.responder();
		const messages: Uint8Array[] = [];
		const queue: [Machine, Uint8Array][] = initiator.start().map((bytes) => [responder, bytes]);
		for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
			const [to, bytes] = next;
			const sent = tamper(bytes, messages.length);
			messages.push(sent);
			const from = to === initiator ? responder : initiator;
			queue.push(...to.receive(sent).map((answer): [Machine, Uint8Array] => [from, answer]));
		}
		return { initiator, responder, messages };
	}
}

/** One side, its `verify` effects answered by its identity at once. */
export class Machine {
	readonly #machine: Handshake<string>;
	readonly #config: HandshakeConfig<string>;
	readonly #pair: Pair;
	established: Established<string> | undefined;
	error: MeshError | undefined;
	alert: string | undefined;

	constructor(machine: Handshake<string>, config: HandshakeConfig<string>, pair: Pair) {
		this.#machine = machine;
		this.#config = config;
		this.#pair = pair;
	}

	start(): Uint8Array[] {
		return this.#perform(this.#machine.step({ type: 'start' }, this.#pair.nowMs));
	}

	receive(bytes: Uint8Array): Uint8Array[] {
		return this.#perform(this.#machine.step({ type: 'message', bytes }, this.#pair.nowMs));
	}

	#perform(effects: readonly HandshakeEffect<string>[]): Uint8Array[] {
		const sent: Uint8Array[] = [];
		for (const effect of effects) {
			switch (effect.type) {
				case 'send':
					sent.push(effect.bytes);
					break;
				case 'verify':
					sent.push(...this.#perform(this.#verify(effect.certificate)));
					break;
				case 'established':
					this.established = effect.session;
					break;
				case 'fail':
					this.error = effect.error;
					this.alert = effect.alert;
			}
		}
		return sent;
	}

	#verify(certificate: Uint8Array): readonly HandshakeEffect<string>[] {
		const { identity, remote } = this.#config;
		try {
			const peer = identity.verify(certificate, remote);
			if (peer instanceof Promise) throw new Error('test identities answer at once');
			return this.#machine.step({ type: 'verified', peer }, this.#pair.nowMs);
		} catch (error) {
			return this.#machine.step({ type: 'refused', error }, this.#pair.nowMs);
		}
	}
}

function side(identity: TestIdentity, self: PeerId, remote: PeerId, overrides?: Partial<SessionCrypto>): Side {
	const crypto = countingCrypto(overrides);
	return { identity, crypto, config: { crypto, identity, protocol: PROTOCOL, self, remote, tickets: new Tickets() } };
}
