/**
 * The Raft groups of one replica: its part in the workload's `members` group, and the app's own groups, whose members
 * follow it. A replica is ready when it is a voter of each group it opened.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import type { GroupSettings } from '../raft/config.ts';
import type { ConfState } from '../raft/core/index.ts';
import { openGroup } from '../raft/group.ts';
import type { Group, GroupRole, Machine, MemberIdentity } from '../raft/group.types.ts';
import {
	decodeRecord,
	type EpochLink,
	encodeRecord,
	epochLinkSchema,
	LIMITS,
	raftMemberId,
	type SlotGen,
	slotOfMember,
} from '../wire/index.ts';
import { sessionLink } from './group-link.ts';
import { type MembersCommand, type MembersResult, type MembersState, membersMachine } from './members-machine.ts';
import type { MembershipChange } from './membership.ts';
import { fileStores, type GroupStores } from './stores.ts';
import { within } from './within.ts';
import type { LiveWorkplane } from './workplane.ts';

const MEMBERS = 'members';
/** In which a transfer of leadership is tried again. */
const HAND_OVER_MS = 2_000;
/** For a successor that was admitted to start, catch up, and be voted in; or for a voter to be voted out. */
const SUCCESSION_MS = 15_000;
/** Exit code of a replica that must be replaced, not started again: its state is gone or cannot be trusted. */
export const EXIT_LOST_STATE = 75;

export interface GroupOptions {
	/** Where this group's log is kept. Default: the pod's volume, or `data` in dev mode. */
	readonly dir?: string;
	readonly settings?: GroupSettings;
}

type MembersGroup = Group<MembersState, MembersCommand, MembersResult>;

interface GroupsOptions {
	readonly workplane: LiveWorkplane;
	readonly stores: GroupStores;
	/** As the admission said. */
	readonly foundingSlots: number;
	/** Whoever shows up with a valid certificate is taken in: `dev` mode, where nobody else admits. */
	readonly adoptsNewcomers: boolean;
	/** This replica cannot go on. */
	readonly onFatal: (error: MeshError) => void;
	/** Nor can it after another start: its votes are forgotten. */
	readonly onLostState: (error: MeshError) => void;
	/** Leadership of the members group came or went, or a group has changed its members. */
	readonly onChange: () => void;
}

export class Groups {
	readonly #options: GroupsOptions;
	readonly #groups = new Map<string, Promise<Group<unknown, unknown, unknown>>>();
	readonly #open: Group<unknown, unknown, unknown>[] = [];
	readonly #abort = new AbortController();
	#members: Promise<MembersGroup> | undefined;
	#membersGroup: MembersGroup | undefined;
	#desired: readonly MemberIdentity[] = [];
	#shown: string | undefined;

	constructor(options: GroupsOptions) {
		this.#options = options;
	}

	/** Every voter of every group is there, and none is to be added or removed, as far as this replica knows. */
	get isSettled(): boolean {
		const desired = new Set(this.#desired.map(({ id }) => id));
		const live = new Set(
			this.#options.workplane.parts.directory.own.live().map(({ record }) => raftMemberId(record.slot, record.gen)),
		);
		return this.#open.every(({ confState: { voters, votersOutgoing, learners } }) => {
			const isExact = voters.length === desired.size && voters.every((id) => desired.has(id) && live.has(id));
			return isExact && votersOutgoing.length === 0 && learners.length === 0;
		});
	}

	/** This replica decides for a stateful workload. */
	get isLeading(): boolean {
		return this.#membersGroup?.role === 'leader';
	}

	/** Opens the members group; the app's groups do it for themselves. Does not wait for a leader. */
	openMembers(): Promise<MembersGroup> {
		if (this.#members === undefined) this.#options.workplane.health.hold(holdOf(MEMBERS));
		this.#members ??= this.#openMembers();
		return this.#members;
	}

	/** Makes a change of the membership final, by majority. Rejects with `no_quorum`, or `conflict` when the slot has gone further. */
	async commit(change: MembershipChange, epochLink: EpochLink): Promise<void> {
		const members = await this.openMembers();
		const link = encodeRecord(epochLink);
		const { ok, gen: held } = await members.propose({ ...commandOf(change), link });
		if (ok) return;
		throw new MeshError(
			'conflict',
			held > 0 ? `generation ${held} holds the slot already` : 'another epoch after the same one was agreed on before',
		);
	}

	async open<S, C extends StandardSchemaV1, R>(
		name: string,
		machine: Machine<S, C, R>,
		options: GroupOptions = {},
	): Promise<Group<S, StandardSchemaV1.InferInput<C>, R>> {
		if (name === MEMBERS) throw new MeshError('invalid_input', `the group name '${MEMBERS}' is the workload's own`);
		if (this.#groups.has(name)) throw new MeshError('conflict', `group ${name} is open here already`);
		// At once: this replica must not look ready between its joining and its groups.
		this.#options.workplane.health.hold(holdOf(name));
		const opening = this.openMembers().then(() => this.#openGroup(name, machine, options));
		this.#groups.set(name, opening as Promise<Group<unknown, unknown, unknown>>);
		this.#shown ??= name;
		try {
			return await opening;
		} catch (error) {
			this.#groups.delete(name);
			throw error;
		}
	}

	/** Whether it is a voter of a group here. A newcomer that has not heard yet who votes takes everybody for one. */
	mayStillVote({ slot, gen }: SlotGen): boolean {
		if (this.#open.length === 0) return true;
		const id = raftMemberId(slot, gen);
		return this.#open.some(({ confState }) => confState.voters.length === 0 || votes(confState, id));
	}

	/**
	 * Gives a slot up while its replica is still there to agree: of two voters, one could not be removed any more after
	 * it has gone. Resolves when it votes nowhere; the last of all has nobody to leave to. Rejects with `no_quorum`.
	 */
	async retire({ slot, gen }: SlotGen): Promise<void> {
		const id = raftMemberId(slot, gen);
		if (!this.#desired.some((member) => member.id !== id)) return;
		const members = await this.openMembers();
		await members.propose({ type: 'retire', slot, gen });
		await within(SUCCESSION_MS, this.#votedOut({ slot, gen }));
	}

	/** Lets another voter decide for the workload. False when there is none; rejects when none could be handed to. */
	async handOver(): Promise<boolean> {
		const members = await this.openMembers();
		if (members.confState.voters.length < 2) return false;
		if (members.role === 'leader') await members.transferLeadership();
		return true;
	}

	/**
	 * Goes without taking a majority along: hands leadership on while the others can still hear of it, and votes until its
	 * successor does, if it has one. In this order, for a leader votes newcomers in, and one that leaves meets none any more.
	 */
	async leave(): Promise<void> {
		const { context, directory } = this.#options.workplane.parts;
		await Promise.all(this.#open.map(giveUpLeadership));
		const hasSuccessor = (directory.own.generations().get(context.slot) ?? 0) > context.gen;
		if (hasSuccessor) await within(SUCCESSION_MS, this.#votedOut(context));
	}

	/** Resolves when this member votes in no group any more. */
	#votedOut({ slot, gen }: SlotGen): Promise<void> {
		const id = raftMemberId(slot, gen);
		return new Promise((resolve) => {
			const look = (): void => {
				if (this.#open.some(({ confState }) => votes(confState, id))) return;
				for (const listening of listeners) listening[Symbol.dispose]();
				resolve();
			};
			const listeners = this.#open.map((group) => group.onEvent(look));
			look();
		});
	}

	async close(): Promise<void> {
		this.#abort.abort();
		for (const group of this.#open.reverse()) await group[Symbol.asyncDispose]();
	}

	async #openMembers(): Promise<MembersGroup> {
		const group = (await this.#openGroup(MEMBERS, membersMachine, {})) as MembersGroup;
		this.#membersGroup = group;
		void this.#follow(group);
		const { workplane } = this.#options;
		group.onEvent(({ type }) => {
			if (type === 'leadership') {
				this.#options.onChange();
				void this.#tend(group);
			}
			// Those that the last change displaced may only now be gone from the configuration.
			if (type === 'members') void this.#tend(group);
		});
		workplane.parts.directory.listen({ onMember: (_wid, { type }) => type === 'added' && void this.#tend(group) });
		return group;
	}

	async #openGroup<S, C extends StandardSchemaV1, R>(
		name: string,
		machine: Machine<S, C, R>,
		options: GroupOptions,
	): Promise<Group<S, StandardSchemaV1.InferInput<C>, R>> {
		const { workplane, foundingSlots } = this.#options;
		const { context, directory, log, charter } = workplane.parts;
		const { gen, slot, incarnation } = context;
		const stores = options.dir === undefined ? this.#options.stores : fileStores(options.dir);
		// In `dev` mode nobody awards: whoever holds the slot's generation goes on with its state.
		const award = this.#options.adoptsNewcomers ? 'dev' : context.award.awardId;
		const founders = await stores.prepare({ gen, award, incarnation }, foundingSlots);
		if (founders === undefined) {
			const error = new MeshError(
				'corrupt',
				`slot ${slot} generation ${gen} was started again without its state: it must be replaced, because its votes are forgotten`,
				{ retryable: false },
			);
			this.#options.onLostState(error);
			throw error;
		}
		const identity = (s: number, g: number): MemberIdentity => ({
			id: raftMemberId(s, g),
			context: new TextEncoder().encode(`${charter.opened.charter.body.name}-${s}`),
		});
		const group = await openGroup({
			name,
			selfId: raftMemberId(slot, gen),
			// Founders are placed together, so they are of one generation: the first, or the one after all that ended.
			bootstrap: founders > 0 ? Array.from({ length: founders }, (_, s) => identity(s, gen)) : undefined,
			store: stores.open(gen, name),
			link: sessionLink(directory, name),
			machine,
			logger: log,
			...(options.settings === undefined ? {} : { settings: options.settings }),
		});
		this.#open.push(group as Group<unknown, unknown, unknown>);
		const update = (): void => this.#onGroupChange(name, group.role, group.term, group.leaderId !== undefined);
		group.onEvent((event) => {
			if (event.type === 'failed') {
				this.#options.onFatal(
					event.error instanceof MeshError
						? event.error
						: new MeshError('internal', event.error.message, { cause: event.error }),
				);
			} else if (event.type === 'disk') {
				const message = `the disk of group ${name} is full: this replica takes no writes until there is room`;
				if (event.isFull) {
					workplane.health.hold(diskHoldOf(name));
					workplane.warn(new MeshError('disk_full', message));
				} else workplane.health.lift(diskHoldOf(name));
			} else {
				update();
				if (event.type === 'members') this.#options.onChange();
			}
		});
		if (this.#desired.length > 0) group.reconcileMembers(this.#desired);
		update();
		return group;
	}

	#onGroupChange(name: string, role: GroupRole, term: bigint, hasLeader: boolean): void {
		const { workplane } = this.#options;
		if (hasLeader && (role === 'leader' || role === 'follower')) workplane.health.lift(holdOf(name));
		workplane.emit('consensus', { group: name, role, term });
		// To people the leader is that of the app's group; the members group is ours.
		if (name === (this.#shown ?? MEMBERS)) workplane.setRole(role);
	}

	/** Every change of the members decides who belongs to every group. */
	async #follow(group: MembersGroup): Promise<void> {
		try {
			for await (const { state } of group.changes({ signal: this.#abort.signal })) {
				const { name } = this.#options.workplane.parts.charter.opened.charter.body;
				const holders = [...state.slots].filter(([, { isRetired }]) => !isRetired);
				this.#desired = holders.map(([slot, { gen }]) => ({
					id: raftMemberId(slot, gen),
					context: new TextEncoder().encode(`${name}-${slot}`),
				}));
				const generations = [...state.slots].map(([slot, { gen }]) => [slot, gen] as const);
				this.#options.workplane.parts.directory.own.learnGenerations(generations);
				this.#learnEpoch(state.link);
				if (this.#desired.length > 0) for (const one of this.#open) one.reconcileMembers(this.#desired);
				void this.#tend(group);
			}
		} catch (error) {
			if (!this.#abort.signal.aborted)
				this.#options.workplane.parts.log.debug('members are not followed any more', { error });
		}
	}

	/** The proposer tells everybody itself; this is for those whom it did not reach any more. */
	#learnEpoch(link: Uint8Array | undefined): void {
		if (link === undefined) return;
		const { trust, charter, log } = this.#options.workplane.parts;
		try {
			const parsed = v.parse(epochLinkSchema, decodeRecord(link, LIMITS.epochBytesMax));
			const { wid } = charter.opened;
			if (trust.offer(wid, [parsed]).type === 'gap') void trust.refresh(wid).catch(() => undefined);
		} catch (error) {
			// An epoch of the owner's takes the certificates of all members, and others have them.
			log.debug('the epoch that was agreed on is refused', { error });
			void trust.refresh(charter.opened.wid).catch(() => undefined);
		}
	}

	/** What the leader of the members group sees to: founding, newcomers in dev mode, slots that were scaled away. */
	async #tend(group: MembersGroup): Promise<void> {
		if (group.role !== 'leader' || this.#abort.signal.aborted) return;
		const { workplane, adoptsNewcomers } = this.#options;
		const { directory, charter, log } = workplane.parts;
		try {
			const slots = await group.read((state) => new Map(state.slots));
			if (slots.size === 0) {
				await group.propose({ type: 'found', holders: group.confState.voters.map(slotOfMember) });
				return;
			}
			const live = directory.own.live();
			if (adoptsNewcomers) {
				for (const { record } of live) {
					const { slot, gen, replicaId, machineId } = record;
					if (gen > (slots.get(slot)?.gen ?? 0))
						await group.propose({ type: 'admit', slot, gen, replicaId, machineId });
				}
				return;
			}
			const { replicas } = charter.opened.charter.body;
			for (const [slot, { gen, isRetired }] of slots) {
				if (slot < replicas || isRetired || live.some(({ record }) => record.slot === slot)) continue;
				await group.propose({ type: 'retire', slot, gen });
			}
		} catch (error) {
			log.debug('members not tended', { error });
		}
	}

	/** Looks again at what the leader sees to, after a change from outside such as a charter. */
	tend(): void {
		if (this.#membersGroup !== undefined) void this.#tend(this.#membersGroup);
	}
}

function commandOf(change: MembershipChange): Exclude<MembersCommand, { type: 'found' }> {
	if (change.type === 'renew' || change.type === 'checkpoint') return { type: 'epoch' };
	if (change.type === 'remove') return { type: 'retire', slot: change.slot, gen: change.gen };
	const { slot, gen, replicaId, machineId } = change.cert;
	return { type: 'admit', slot, gen, replicaId, machineId };
}

/** Again when it fails: a voter that has not yet heard how a change of the members ended does not stand for election. */
async function giveUpLeadership(group: Group<unknown, unknown, unknown>): Promise<void> {
	const untilMs = performance.now() + HAND_OVER_MS;
	// A group that failed keeps its role, and has nothing to hand over.
	const mayHandOver = (): boolean => group.hasQuorum && group.role === 'leader' && group.confState.voters.length > 1;
	while (mayHandOver() && performance.now() < untilMs) await group.transferLeadership().catch(() => undefined);
}

function votes({ voters, votersOutgoing }: ConfState, id: number): boolean {
	return voters.includes(id) || votersOutgoing.includes(id);
}

/** Why a replica is not ready while it is no voter of a group. */
function holdOf(group: string): string {
	return `group ${group}`;
}

function diskHoldOf(group: string): string {
	return `disk of group ${group}`;
}
