/**
 * Who may connect at all, decided before anything costly: peer IDs of Ed25519 keys only, so many connections and so fast
 * per address and peer, nobody who was expelled, and nobody whose handshakes keep failing. Loopback is exempt from what is
 * counted per address, for there all processes of a machine share one.
 */
import type { ConnectionGater, PeerId as Libp2pPeerId, MultiaddrConnection } from '@libp2p/interface';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { addressOf } from './address.ts';

export interface ConnectionLimits {
	/** Open connections from one address. Default 64. */
	readonly perAddressMax?: number;
	/** New connections a second from one address, and as many again at once. Default 5. */
	readonly perAddressAndSecond?: number;
	/** Open connections from one peer: it restarts, or both dial at once. Default 8. */
	readonly perPeerMax?: number;
	/** Handshakes of one peer that may fail in a row; another one every two seconds. Default 8: a dial tries every address. */
	readonly failuresPerPeer?: number;
}

export interface ConnectionGateOptions {
	readonly limits?: ConnectionLimits;
	/** Of peers that nobody asked for by name, e.g. those that a DHT hears of: whether to dial one. @default all */
	readonly mayDial?: (peer: PeerId) => boolean;
	readonly nowMs?: () => number;
}

const DEFAULTS: Required<ConnectionLimits> = {
	perAddressMax: 64,
	perAddressAndSecond: 5,
	perPeerMax: 8,
	failuresPerPeer: 8,
};
const ADDRESSES_MAX = 4096;
const FAILED_MAX = 4096;
/** In which one failure is forgotten. */
const FORGIVEN_MS = 2_000;

interface Account {
	open: number;
	tokens: number;
	atMs: number;
}

export class ConnectionGate {
	readonly gater: ConnectionGater;
	readonly #limits: Required<ConnectionLimits>;
	readonly #nowMs: () => number;
	readonly #addresses = new Map<string, Account>();
	readonly #peers = new Map<string, number>();
	readonly #banned = new Map<string, number>();
	/** Whose handshakes failed, how often as of when; who failed last is last. */
	readonly #failed = new Map<string, { readonly count: number; readonly atMs: number }>();
	readonly #counted = new WeakSet<MultiaddrConnection>();
	readonly #expected = new Map<PeerId, number>();
	readonly #mayDial: (peer: PeerId) => boolean;

	constructor({ limits = {}, mayDial = () => true, nowMs = Date.now }: ConnectionGateOptions = {}) {
		this.#limits = { ...DEFAULTS, ...limits };
		this.#mayDial = mayDial;
		this.#nowMs = nowMs;
		const isRefused = (peer: Libp2pPeerId): boolean => this.#objection(peer) !== undefined;
		this.gater = {
			denyDialPeer: (peer) => {
				const name = peer.toString() as PeerId;
				return isRefused(peer) || !(this.#expected.has(name) || this.#mayDial(name));
			},
			// Where the transport knows the peer already, `admit` has been asked before its handshake.
			denyInboundConnection: (connection) => !this.#counted.has(connection) && this.#refuses(connection),
			denyInboundEncryptedConnection: (peer, connection) => isRefused(peer) || !this.#countPeer(peer, connection),
			denyOutboundEncryptedConnection: isRefused,
		};
	}

	/** While it is not disposed of, this peer may be dialed: somebody wants that one, by its name. */
	expecting(peer: PeerId): Disposable {
		this.#expected.set(peer, (this.#expected.get(peer) ?? 0) + 1);
		return {
			[Symbol.dispose]: () => {
				const left = (this.#expected.get(peer) ?? 1) - 1;
				if (left > 0) this.#expected.set(peer, left);
				else this.#expected.delete(peer);
			},
		};
	}

	/** For transports that know the peer at once. Throws `unauthorized` or `exhausted`. */
	admit(connection: MultiaddrConnection, peer: Libp2pPeerId): void {
		const objection = this.#objection(peer);
		if (objection !== undefined) throw objection;
		if (this.#counted.has(connection)) return;
		if (this.#failuresOf(peer.toString()) > this.#limits.failuresPerPeer - 1) {
			const why = `${peer} has failed too many handshakes: it may try again in seconds`;
			throw new MeshError('exhausted', why, { peer: peer.toString() });
		}
		if ((this.#peers.get(peer.toString()) ?? 0) >= this.#limits.perPeerMax || this.#refuses(connection)) {
			throw new MeshError('exhausted', `too many connections from ${peer}`, { peer: peer.toString() });
		}
		this.#countPeer(peer, connection);
	}

	/** What became of the handshake of a peer that was admitted. One who fails again and again costs no further ones. */
	handshakeOver(peer: Libp2pPeerId, hasFailed: boolean): void {
		const name = peer.toString();
		const count = Math.min(this.#failuresOf(name) + 1, this.#limits.failuresPerPeer);
		this.#failed.delete(name);
		if (!hasFailed) return;
		this.#failed.set(name, { count, atMs: this.#nowMs() });
		const [oldest] = this.#failed.keys();
		if (this.#failed.size > FAILED_MAX && oldest !== undefined) this.#failed.delete(oldest);
	}

	/** Throws `unauthorized` for a peer with which nobody talks, whoever dialed. */
	requireSpokenTo(peer: Libp2pPeerId): void {
		const objection = this.#objection(peer);
		if (objection !== undefined) throw objection;
	}

	/** Lets a peer neither in nor be dialed for this long. */
	ban(peer: PeerId, forMs: number): void {
		const nowMs = this.#nowMs();
		for (const [other, untilMs] of this.#banned) if (untilMs <= nowMs) this.#banned.delete(other);
		this.#banned.set(peer, nowMs + forMs);
	}

	#objection(peer: Libp2pPeerId): MeshError | undefined {
		const name = peer.toString();
		if (peer.type !== 'Ed25519') {
			return new MeshError('unauthorized', `${name} is no peer of a mesh: its key is ${peer.type}, not Ed25519`, {
				peer: name,
			});
		}
		if ((this.#banned.get(name) ?? 0) > this.#nowMs()) {
			return new MeshError('unauthorized', `${name} has been expelled for misbehaviour; it may come back in a minute`, {
				peer: name,
			});
		}
		return undefined;
	}

	#failuresOf(name: string): number {
		const failed = this.#failed.get(name);
		if (failed === undefined) return 0;
		return Math.max(0, failed.count - (this.#nowMs() - failed.atMs) / FORGIVEN_MS);
	}

	/** Counts a connection with its address; true when that is one too many. */
	#refuses(connection: MultiaddrConnection): boolean {
		const address = addressOf(connection);
		if (address === undefined) return false;
		const { perAddressMax, perAddressAndSecond } = this.#limits;
		const nowMs = this.#nowMs();
		const account = this.#addresses.get(address) ?? { open: 0, tokens: perAddressAndSecond * 2, atMs: nowMs };
		const refilled = account.tokens + ((nowMs - account.atMs) * perAddressAndSecond) / 1_000;
		account.tokens = Math.min(perAddressAndSecond * 2, refilled);
		account.atMs = nowMs;
		this.#remember(address, account);
		if (account.tokens < 1 || account.open >= perAddressMax) return true;
		account.tokens--;
		account.open++;
		connection.addEventListener('close', () => void account.open--, { once: true });
		return false;
	}

	/** Addresses without open connections are forgotten first; one that comes back begins anew. */
	#remember(address: string, account: Account): void {
		this.#addresses.delete(address);
		this.#addresses.set(address, account);
		if (this.#addresses.size <= ADDRESSES_MAX) return;
		for (const [other, { open }] of this.#addresses) {
			if (open > 0) continue;
			this.#addresses.delete(other);
			return;
		}
	}

	/** False when the peer has too many. */
	#countPeer(peer: Libp2pPeerId, connection: MultiaddrConnection): boolean {
		if (this.#counted.has(connection)) return true;
		const name = peer.toString();
		const open = this.#peers.get(name) ?? 0;
		if (open >= this.#limits.perPeerMax) return false;
		this.#counted.add(connection);
		this.#peers.set(name, open + 1);
		const closed = (): void => {
			const left = (this.#peers.get(name) ?? 1) - 1;
			if (left > 0) this.#peers.set(name, left);
			else this.#peers.delete(name);
		};
		connection.addEventListener('close', closed, { once: true });
		if (connection.status !== 'open') closed();
		return true;
	}
}
