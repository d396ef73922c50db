/**
 * Who is in a workload, and who is alive: one replica's view, as a quiet core. Truth below a second comes from sessions
 * and heartbeats, with SWIM's indirect probe before a verdict (Das, Gupta, Motivala 2002, §3.1); records only say whom
 * to dial. A stalled observer does not blame others: time it slept through is taken off; and whoever was suspected in vain
 * is given longer from then on (Lifeguard, 2018, §III).
 *
 * The caller hands in records that it has verified (signature, certificate), and performs the effects in their order.
 */
import type { ReplicaId, ServiceRecord, WorkloadId } from '../../wire/index.ts';
import { beats, supersedes } from './precedence.ts';

export interface MembershipConfig {
	readonly wid: WorkloadId;
	/** This replica's own ID where it is a member itself; absent for a caller that watches another workload. */
	readonly self: ReplicaId | undefined;
	/**
	 * When a newer replica of a slot displaces the older: `at-once` (stateful: two never serve) or `when-ready`
	 * (stateless: the older serves until the newer does).
	 */
	readonly displace: 'at-once' | 'when-ready';
	/** Default 250. */
	readonly heartbeatMs: number;
	/** Silence before suspicion: two missed heartbeats and slack. Default 600. */
	readonly suspectAfterMs: number;
	/** From suspicion to verdict, unless refuted. Default 300: a killed replica is dead within 900 ms. */
	readonly probeMs: number;
	/** Each suspicion in vain doubles both for that member, up to this factor. Default 8: on a starved machine 7 s. */
	readonly patienceMax: number;
	/** Without another, patience halves after this long. Default 30 s. */
	readonly calmMs: number;
	/** Members asked for an indirect probe. Default 2. */
	readonly probesMax: number;
	/** Pause before another dial of a peer that could not be reached. Default 1000. */
	readonly redialMs: number;
	/**
	 * Pause before another dial of one that is thought dead: after a partition both sides think so. Grows with the time
	 * that it has been gone, up to `redialGoneMaxMs`. Defaults 2 s and 30 s.
	 */
	readonly redialGoneMs: number;
	readonly redialGoneMaxMs: number;
	/** How long those who left are remembered, so that old records do not bring them back. Default 60 s. */
	readonly forgetMs: number;
	/** How long those who vanished are dialed again: a partition may last. Default 24 h. */
	readonly forgetVanishedMs: number;
	/** Of those who vanished the newest are remembered. Default 64. */
	readonly vanishedMax: number;
}

export const MEMBERSHIP_DEFAULTS = {
	heartbeatMs: 250,
	suspectAfterMs: 600,
	probeMs: 300,
	patienceMax: 8,
	calmMs: 30_000,
	probesMax: 2,
	redialMs: 1000,
	redialGoneMs: 2000,
	redialGoneMaxMs: 30_000,
	forgetMs: 60_000,
	forgetVanishedMs: 24 * 3_600_000,
	vanishedMax: 64,
} as const;

/** `known`: has a record, not reached yet. `gone`: left, dead or displaced; remembered only. */
export type MemberPhase = 'known' | 'alive' | 'suspect' | 'gone';

/** Why a member was removed; the reconciler waits longer before it replaces one that is only silent. */
export type RemovalCause = 'left' | 'superseded' | 'closed' | 'silent';

export interface MemberView {
	readonly record: ServiceRecord;
	readonly phase: MemberPhase;
	readonly sinceMs: number;
}

export type MembershipInput =
	| { readonly type: 'tick' }
	/** A verified record of a replica of this workload (our own too). */
	| { readonly type: 'record'; readonly record: ServiceRecord }
	/** A session with an admitted peer is open; `record` as in its hello. */
	| { readonly type: 'session-opened'; readonly record: ServiceRecord }
	| { readonly type: 'session-closed'; readonly peer: ReplicaId }
	/** Anything arrived from this peer. */
	| { readonly type: 'heard'; readonly peer: ReplicaId }
	/** `refused`: somebody answered at its address and it was not this peer; no need to wait. */
	| { readonly type: 'dial-failed'; readonly peer: ReplicaId; readonly refused: boolean }
	| { readonly type: 'probe-answered'; readonly peer: ReplicaId; readonly alive: boolean };

export type MembershipEffect =
	| { readonly type: 'dial'; readonly peer: ReplicaId; readonly addresses: readonly string[] }
	| { readonly type: 'heartbeat'; readonly peers: readonly ReplicaId[] }
	| { readonly type: 'probe'; readonly via: ReplicaId; readonly peer: ReplicaId }
	/** Give up the session: the verdict is in. */
	| { readonly type: 'disconnect'; readonly peer: ReplicaId }
	/** `updated`: its record says something else new, such as another service. */
	| { readonly type: 'added' | 'ready' | 'unready' | 'suspect' | 'updated'; readonly record: ServiceRecord }
	| { readonly type: 'removed'; readonly record: ServiceRecord; readonly cause: RemovalCause }
	/** A newer replica holds our slot: drain and exit. */
	| { readonly type: 'self-superseded'; readonly slot: number; readonly gen: number };

interface Member {
	record: ServiceRecord;
	phase: MemberPhase;
	sinceMs: number;
	hasSession: boolean;
	heardMs: number;
	evidence: 'closed' | 'silent';
	/** Verdict is due then; a positive probe moves it. */
	verdictMs: number;
	probesOpen: number;
	dialFailed: boolean;
	/** Gone without a word. */
	vanished: boolean;
	/** Incarnation that was taken for dead. */
	lostIncarnation: number | undefined;
	/** Factor on times, as of `vainMs`. */
	patience: number;
	/** Last suspected in vain. */
	vainMs: number;
	/** undefined while a dial is under way. */
	dialAtMs: number | undefined;
}

export interface Membership {
	step(input: MembershipInput, nowMs: number): readonly MembershipEffect[];
	nextDeadlineMs(): number;
	/** Members that are alive or suspect, ourselves included, by slot. */
	live(): readonly MemberView[];
	get(peer: ReplicaId): MemberView | undefined;
	/** Highest generation ever seen per slot. */
	generations(): ReadonlyMap<number, number>;
	/** Learns generations that others have seen. */
	learnGenerations(seen: Iterable<readonly [slot: number, gen: number]>, nowMs: number): readonly MembershipEffect[];
}

export function createMembership(config: MembershipConfig, startMs: number): Membership {
	const members = new Map<ReplicaId, Member>();
	const generations = new Map<number, number>();
	let heartbeatAtMs = startMs;
	let lastStepMs = startMs;
	let probeTurn = 0;
	let superseded = false;
	let out: MembershipEffect[] = [];

	function step(input: MembershipInput, nowMs: number): readonly MembershipEffect[] {
		out = [];
		forgiveStall(nowMs);
		switch (input.type) {
			case 'tick':
				break;
			case 'record':
				onRecord(input.record, nowMs);
				break;
			case 'session-opened':
				onRecord(input.record, nowMs);
				onSession(input.record.replicaId, nowMs);
				break;
			case 'session-closed':
				onClosed(input.peer, nowMs);
				break;
			case 'heard':
				onHeard(input.peer, nowMs);
				break;
			case 'dial-failed':
				onDialFailed(input.peer, input.refused, nowMs);
				break;
			case 'probe-answered':
				onProbe(input.peer, input.alive, nowMs);
				break;
		}
		onTime(nowMs);
		return out;
	}

	/** We slept longer than a heartbeat: nobody could have been heard meanwhile, so nobody is blamed for it. */
	function forgiveStall(nowMs: number): void {
		const sleptMs = nowMs - lastStepMs - config.heartbeatMs;
		lastStepMs = nowMs;
		if (sleptMs < config.heartbeatMs / 2) return;
		for (const member of members.values()) {
			member.heardMs += sleptMs;
			member.verdictMs += sleptMs;
		}
	}

	function onRecord(record: ServiceRecord, nowMs: number): void {
		if (record.wid !== config.wid) return;
		generations.set(record.slot, Math.max(generations.get(record.slot) ?? 0, record.gen));
		const member = members.get(record.replicaId);
		if (member === undefined) {
			const isSelf = record.replicaId === config.self;
			if (record.left || (!isSelf && record.exp <= nowMs)) return;
			members.set(record.replicaId, newMember(record, isSelf ? 'alive' : 'known', nowMs));
			forgetVanished(record);
			settleSlot(record.slot, nowMs);
			return;
		}
		if (!supersedes(record, member.record)) return;
		const before = member.record;
		member.record = record;
		if (record.left) {
			if (member.phase !== 'gone') remove(member, 'left', nowMs);
			return;
		}
		// A newer record brings back one that we thought dead, but never one that has left or was displaced.
		if (member.phase === 'gone' && !before.left) enter(member, 'known', nowMs);
		if (member.phase === 'alive') {
			out.push({ type: before.ready === record.ready ? 'updated' : record.ready ? 'ready' : 'unready', record });
		}
		settleSlot(record.slot, nowMs);
	}

	function onSession(peer: ReplicaId, nowMs: number): void {
		const member = members.get(peer);
		if (member === undefined || peer === config.self) return;
		member.hasSession = true;
		member.heardMs = nowMs;
		if (member.phase === 'alive') return;
		if (member.phase === 'gone' && member.record.left) {
			out.push({ type: 'disconnect', peer });
			return;
		}
		// It has not heard that it is displaced. Over this session it learns by whom, and leaves.
		if (member.phase === 'gone' && isDisplaced(member)) return;
		const isNew = member.phase !== 'suspect';
		// It was not dead: the same process is here again.
		if (member.lostIncarnation === member.record.incarnation) suspectedInVain(member, nowMs);
		member.lostIncarnation = undefined;
		enter(member, 'alive', nowMs);
		if (isNew) out.push({ type: 'added', record: member.record });
		out.push({ type: member.record.ready ? 'ready' : 'unready', record: member.record });
		settleSlot(member.record.slot, nowMs);
	}

	function onClosed(peer: ReplicaId, nowMs: number): void {
		const member = members.get(peer);
		if (member === undefined) return;
		member.hasSession = false;
		if (member.phase === 'alive') suspect(member, 'closed', nowMs);
		else if (member.phase === 'suspect') {
			member.evidence = 'closed';
			dial(member);
		}
	}

	function onHeard(peer: ReplicaId, nowMs: number): void {
		const member = members.get(peer);
		if (member === undefined) return;
		member.heardMs = nowMs;
		if (member.phase !== 'suspect' || !member.hasSession) return;
		if (member.evidence === 'silent') suspectedInVain(member, nowMs);
		enter(member, 'alive', nowMs);
		out.push({ type: member.record.ready ? 'ready' : 'unready', record: member.record });
	}

	function onDialFailed(peer: ReplicaId, refused: boolean, nowMs: number): void {
		const member = members.get(peer);
		if (member === undefined || member.hasSession) return;
		member.dialFailed = true;
		member.dialAtMs = nowMs + (member.phase === 'gone' ? redialPauseMs(member, nowMs) : config.redialMs);
		if (member.phase !== 'suspect') return;
		if (refused || member.probesOpen === 0) remove(member, member.evidence, nowMs);
	}

	function onProbe(peer: ReplicaId, alive: boolean, nowMs: number): void {
		const member = members.get(peer);
		if (member?.phase !== 'suspect') return;
		member.probesOpen = Math.max(0, member.probesOpen - 1);
		// Somebody else reaches it: it lives, only we do not hear it. Ask again before the next verdict.
		if (alive) member.verdictMs = nowMs + config.suspectAfterMs + config.probeMs;
		else if (member.probesOpen === 0 && member.dialFailed) remove(member, member.evidence, nowMs);
	}

	function onTime(nowMs: number): void {
		if (nowMs >= heartbeatAtMs) {
			heartbeatAtMs = nowMs + config.heartbeatMs;
			const peers = [...members.values()].filter((m) => m.hasSession).map((m) => m.record.replicaId);
			if (peers.length > 0) out.push({ type: 'heartbeat', peers });
		}
		for (const [peer, member] of members) {
			if (peer === config.self) continue;
			if (member.phase === 'alive' && nowMs >= suspectAtMs(member, nowMs)) suspect(member, 'silent', nowMs);
			else if (member.phase === 'suspect' && nowMs >= member.verdictMs) remove(member, member.evidence, nowMs);
			else if (member.phase === 'suspect' && member.probesOpen === 0 && nowMs >= member.verdictMs - config.probeMs)
				probe(member);
			if (!member.hasSession && member.dialAtMs !== undefined && nowMs >= member.dialAtMs) dial(member);
			if (member.phase === 'known' && nowMs > member.record.exp) members.delete(peer);
			else if (member.phase === 'gone' && nowMs > member.sinceMs + forgetAfterMs(member)) members.delete(peer);
		}
	}

	/** An eighth of the time that it has been gone, within limits: soon after a short cut, seldom after a long one. */
	function redialPauseMs(member: Member, nowMs: number): number {
		return Math.min(config.redialGoneMaxMs, Math.max(config.redialGoneMs, (nowMs - member.sinceMs) / 8));
	}

	function forgetAfterMs(member: Member): number {
		return member.vanished ? config.forgetVanishedMs : config.forgetMs;
	}

	/** Those who vanished and surely do not come back: restarted in place since, or too many to remember. */
	function forgetVanished(newest: ServiceRecord): void {
		const vanished = [...members.values()].filter((m) => m.phase === 'gone' && m.vanished);
		const restarted = vanished.filter(
			({ record: { slot, gen, machineId, incarnation } }) =>
				slot === newest.slot &&
				gen === newest.gen &&
				machineId === newest.machineId &&
				incarnation < newest.incarnation,
		);
		const oldestFirst = vanished.filter((m) => !restarted.includes(m)).sort((a, b) => a.sinceMs - b.sinceMs);
		const surplus = oldestFirst.slice(0, Math.max(0, oldestFirst.length - config.vanishedMax));
		for (const { record } of [...restarted, ...surplus]) members.delete(record.replicaId);
	}

	function suspectedInVain(member: Member, nowMs: number): void {
		member.patience = Math.min(patienceOf(member, nowMs) * 2, config.patienceMax);
		member.vainMs = nowMs;
	}

	function patienceOf({ patience, vainMs }: Member, nowMs: number): number {
		return Math.max(1, patience / 2 ** Math.floor((nowMs - vainMs) / config.calmMs));
	}

	function suspectAtMs(member: Member, nowMs: number): number {
		return member.heardMs + config.suspectAfterMs * patienceOf(member, nowMs);
	}

	function suspect(member: Member, evidence: 'closed' | 'silent', nowMs: number): void {
		enter(member, 'suspect', nowMs);
		member.evidence = evidence;
		member.verdictMs = nowMs + config.probeMs * patienceOf(member, nowMs);
		out.push({ type: 'suspect', record: member.record });
		if (evidence === 'closed') dial(member);
		probe(member);
	}

	function probe(member: Member): void {
		const others = [...members.values()]
			.filter((m) => m !== member && m.hasSession && m.phase === 'alive')
			.map((m) => m.record.replicaId)
			.sort();
		const count = Math.min(config.probesMax, others.length);
		for (let i = 0; i < count; i++) {
			const via = others[(probeTurn + i) % others.length];
			if (via === undefined) continue;
			member.probesOpen++;
			out.push({ type: 'probe', via, peer: member.record.replicaId });
		}
		probeTurn += count;
	}

	function dial(member: Member): void {
		member.dialAtMs = undefined;
		out.push({ type: 'dial', peer: member.record.replicaId, addresses: member.record.addresses });
	}

	function remove(member: Member, cause: RemovalCause, nowMs: number): void {
		const wasAnnounced = member.phase === 'alive' || member.phase === 'suspect';
		enter(member, 'gone', nowMs);
		if (cause === 'closed' || cause === 'silent') {
			member.vanished = true;
			member.lostIncarnation = member.record.incarnation;
			member.dialAtMs = nowMs + config.redialGoneMs;
		}
		if (member.hasSession && cause === 'silent') {
			out.push({ type: 'disconnect', peer: member.record.replicaId });
			member.hasSession = false;
		}
		if (wasAnnounced) out.push({ type: 'removed', record: member.record, cause });
		if (cause !== 'superseded') settleSlot(member.record.slot, nowMs);
	}

	function enter(member: Member, phase: MemberPhase, nowMs: number): void {
		member.phase = phase;
		member.sinceMs = nowMs;
		member.probesOpen = 0;
		member.dialFailed = false;
		member.vanished = false;
		if (phase === 'known') member.dialAtMs = nowMs;
		else member.dialAtMs = undefined;
	}

	/** Of several replicas of one slot the highest generation, then incarnation, stays. */
	function settleSlot(slot: number, nowMs: number): void {
		for (const member of members.values()) {
			if (member.record.slot !== slot || member.phase === 'gone' || !isDisplaced(member)) continue;
			if (member.record.replicaId !== config.self) remove(member, 'superseded', nowMs);
			else if (!superseded) {
				superseded = true;
				out.push({ type: 'self-superseded', slot, gen: generations.get(slot) ?? member.record.gen });
			}
		}
	}

	function isDisplaced({ record }: Member): boolean {
		const atOnce = config.displace === 'at-once';
		// Stateful: the mere admission of a newer generation ends the older one, even when the newer died since.
		if (atOnce && record.gen < (generations.get(record.slot) ?? 0)) return true;
		for (const other of members.values()) {
			if (other.record.slot !== record.slot || !beats(other.record, record)) continue;
			if (atOnce || ((other.phase === 'alive' || other.phase === 'suspect') && other.record.ready)) return true;
		}
		return false;
	}

	return {
		step,
		nextDeadlineMs() {
			let next = heartbeatAtMs;
			for (const m of members.values()) {
				if (m.record.replicaId === config.self) continue;
				if (m.phase === 'alive') next = Math.min(next, suspectAtMs(m, lastStepMs));
				if (m.phase === 'suspect') next = Math.min(next, m.verdictMs);
				if (!m.hasSession && m.dialAtMs !== undefined) next = Math.min(next, m.dialAtMs);
			}
			return next;
		},
		live: () =>
			[...members.values()]
				.filter((m) => m.phase === 'alive' || m.phase === 'suspect')
				.sort((a, b) => a.record.slot - b.record.slot || b.record.gen - a.record.gen),
		get: (peer) => members.get(peer),
		generations: () => generations,
		learnGenerations(seen, nowMs) {
			out = [];
			for (const [slot, gen] of seen) {
				if (gen <= (generations.get(slot) ?? 0)) continue;
				generations.set(slot, gen);
				settleSlot(slot, nowMs);
			}
			return out;
		},
	};
}

function newMember(record: ServiceRecord, phase: MemberPhase, nowMs: number): Member {
	return {
		record,
		phase,
		sinceMs: nowMs,
		hasSession: false,
		heardMs: nowMs,
		evidence: 'silent',
		verdictMs: nowMs,
		probesOpen: 0,
		dialFailed: false,
		vanished: false,
		lostIncarnation: undefined,
		patience: 1,
		vainMs: nowMs,
		dialAtMs: phase === 'known' ? nowMs : undefined,
	};
}
