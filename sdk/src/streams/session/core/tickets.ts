/**
 * Secrets of sessions that were, for a cheaper handshake when the same two peers meet again: in memory only, each used at
 * most once, for ten minutes, in the epoch it was made in.
 */
import type { PeerId } from '../../../wire/ids.ts';

export interface Ticket {
	readonly id: Uint8Array;
	readonly secret: Uint8Array;
	readonly remote: PeerId;
	/** CID of the remote's certificate, which is verified again. */
	readonly cid: string;
	readonly epoch: number;
	readonly expiresMs: number;
}

const TICKET_MS = 10 * 60_000;
const TICKETS_MAX = 1024;

export class Tickets {
	/** Those that we may use as initiator, by peer. */
	readonly #held = new Map<string, Ticket>();
	/** Those that we honour as responder, by ID. */
	readonly #issued = new Map<string, Ticket>();

	hold(ticket: Omit<Ticket, 'expiresMs'>, nowMs: number): void {
		remember(this.#held, ticket.remote, { ...ticket, expiresMs: nowMs + TICKET_MS });
	}

	issue(ticket: Omit<Ticket, 'expiresMs'>, nowMs: number): void {
		remember(this.#issued, nameOf(ticket.id), { ...ticket, expiresMs: nowMs + TICKET_MS });
	}

	/** Ours for this peer, if it can be used now. It is gone afterwards, whatever becomes of the attempt. */
	takeHeld(remote: PeerId | undefined, epoch: number, nowMs: number): Ticket | undefined {
		return remote === undefined ? undefined : take(this.#held, remote, remote, epoch, nowMs);
	}

	/** That which the initiator names, if this peer may use it now. Also gone afterwards. */
	takeIssued(id: Uint8Array, remote: PeerId | undefined, epoch: number, nowMs: number): Ticket | undefined {
		return remote === undefined || id.byteLength === 0
			? undefined
			: take(this.#issued, nameOf(id), remote, epoch, nowMs);
	}

	/** Forgets all, e.g. because the epoch or a key changed. */
	clear(): void {
		for (const store of [this.#held, this.#issued]) {
			for (const ticket of store.values()) ticket.secret.fill(0);
			store.clear();
		}
	}
}

function remember(store: Map<string, Ticket>, name: string, ticket: Ticket): void {
	forget(store, name);
	store.set(name, ticket);
	// A Map keeps insertion order: the first is the oldest.
	for (const oldest of store.keys()) {
		if (store.size <= TICKETS_MAX) break;
		forget(store, oldest);
	}
}

function forget(store: Map<string, Ticket>, name: string): void {
	store.get(name)?.secret.fill(0);
	store.delete(name);
}

function take(
	store: Map<string, Ticket>,
	name: string,
	remote: PeerId,
	epoch: number,
	nowMs: number,
): Ticket | undefined {
	const ticket = store.get(name);
	if (ticket === undefined) return undefined;
	// Somebody else's ticket stays: naming it must not take it away from its owner.
	if (ticket.remote !== remote) return undefined;
	store.delete(name);
	if (ticket.epoch === epoch && nowMs < ticket.expiresMs) return ticket;
	ticket.secret.fill(0);
	return undefined;
}

function nameOf(id: Uint8Array): string {
	return String.fromCharCode(...id);
}
