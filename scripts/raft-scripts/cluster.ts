/** The directives of etcd-io/raft's interaction scripts, over a small cluster of our cores. */
import type { ConfChange, MemberId, SnapshotMeta } from '../../sdk/src/raft/core/types.ts';
import { describe, describeProgress, nameOf, type Sent } from './describe.ts';
import { changeOf, type Done, ELECTION_TICKS, HEARTBEAT_TICKS, ScriptNode } from './node.ts';
import type { Argument, Directive } from './script.ts';
import { ScriptError } from './stored-log.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal', 'none'];
/** Scripts that do not come to rest by then never do. */
const ROUNDS_MAX = 500;
const TRANSITIONS = { auto: 'auto', implicit: 'joint-implicit', explicit: 'joint-explicit' } as const;

export class ScriptCluster {
	readonly #nodes: ScriptNode[] = [];
	/** On their way. */
	#messages: Sent[] = [];
	#output = '';
	#isQuiet = false;
	#isPoisoned = false;

	/** What etcd's harness prints for a directive, without its log. */
	run(directive: Directive): string {
		if (this.#isPoisoned) return 'poisoned';
		this.#output = '';
		try {
			this.#perform(directive);
		} catch (error) {
			if (!(error instanceof ScriptError)) {
				this.#isPoisoned = true;
				return `PANIC ${(error as Error).message}`;
			}
			// Errors are told even when all else is off.
			if (this.#isQuiet) return error.message;
			this.#output += error.message;
		}
		return this.#output === '' ? 'ok' : this.#output;
	}

	#perform({ command, args, input }: Directive): void {
		switch (command) {
			case '_breakpoint':
				return;
			case 'add-nodes':
				return this.#addNodes(args);
			case 'campaign':
				return this.#first(args).campaign();
			case 'compact': {
				const node = this.#first(args);
				node.compact(Number(args[1]?.key));
				return this.#print(node.describeLog());
			}
			case 'deliver-msgs':
				return this.#deliverDirective(args);
			case 'process-ready':
				return this.#forEach(args, 'handling Ready', (node) => this.#take(node.handleReady()));
			case 'process-append-thread':
				return this.#forEach(args, 'processing append thread', (node) => {
					if (!this.#take(node.runAppendThread())) this.#print('no append work to perform');
				});
			case 'process-apply-thread':
				return this.#forEach(args, 'processing apply thread', (node) => {
					if (!this.#take(node.runApplyThread())) this.#print('no apply work to perform');
				});
			case 'log-level':
				return this.#setLevel(args[0]?.key ?? '');
			case 'raft-log':
				return this.#print(this.#first(args).describeLog());
			case 'raft-state':
				return this.#print(this.#nodes.map((node) => `${node.describeState()}\n`).join(''));
			case 'set-randomized-election-timeout':
				return this.#first(args).drawElectionTimeout(Number(firstOf(args, 'timeout')));
			case 'stabilize':
				return this.#stabilizeDirective(args);
			case 'status':
				return this.#print(
					this.#first(args)
						.status.progress.map((progress) => `${describeProgress(progress)}\n`)
						.join(''),
				);
			case 'tick-election':
				return this.#tick(this.#first(args), ELECTION_TICKS);
			case 'tick-heartbeat':
				return this.#tick(this.#first(args), HEARTBEAT_TICKS);
			case 'transfer-leadership':
				return this.#node(Number(firstOf(args, 'from'))).transferLeadership(Number(firstOf(args, 'to')));
			case 'forget-leader':
				return this.#first(args).forgetLeader();
			case 'send-snapshot':
				return this.#sendSnapshot(args);
			case 'propose':
				return this.#first(args).propose(new TextEncoder().encode(args[1]?.key ?? ''));
			case 'propose-conf-change':
				return this.#proposeChange(args, input);
			case 'report-unreachable': {
				const [on, about] = this.#chosen(args);
				if (on === undefined || about === undefined) throw new ScriptError('two nodes are needed');
				return on.reportUnreachable(about.id);
			}
			default:
				throw new ScriptError('unknown command');
		}
	}

	#addNodes(args: readonly Argument[]): void {
		const ids = (key: string): MemberId[] => allOf(args, key).map(Number);
		const is = (key: string): boolean => firstOf(args, key) === 'true';
		const [voters, learners, index] = [ids('voters'), ids('learners'), Number(firstOf(args, 'index') ?? 0)];
		const isBootstrap = voters.length > 0 || learners.length > 0 || index > 0;
		if (isBootstrap && index <= 1) throw new ScriptError('index must be specified as > 1 due to bootstrap');
		const confState = { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false };
		const snapshot: SnapshotMeta = { index, term: isBootstrap ? 1 : 0, confState };
		for (let count = Number(args[0]?.key); count > 0; count--) {
			this.#nodes.push(
				new ScriptNode({
					...{ id: this.#nodes.length + 1, snapshot, isAsync: is('async-storage-writes') },
					...{ preVote: is('prevote'), checkQuorum: is('checkquorum') },
					isLeaseBased: firstOf(args, 'read-only') === 'lease-based',
					stepDownOnRemoval: is('step-down-on-removal'),
					validateConfChanges: !is('disable-conf-change-validation'),
					inflightMessagesMax: Number(firstOf(args, 'inflight') ?? Number.MAX_SAFE_INTEGER),
					applyingBytesMax: Number(firstOf(args, 'max-committed-size-per-ready') ?? Number.MAX_SAFE_INTEGER),
				}),
			);
		}
	}

	#proposeChange(args: readonly Argument[], input: string): void {
		const isV1 = firstOf(args, 'v1') === 'true';
		const wanted = firstOf(args, 'transition') ?? 'auto';
		const transition: ConfChange['transition'] | undefined = TRANSITIONS[wanted as keyof typeof TRANSITIONS];
		if (transition === undefined) throw new ScriptError(`unknown transition ${wanted}`);
		const words = input.trim();
		if (isV1 && (words.includes(' ') || transition !== 'auto'))
			throw new ScriptError('v1 conf change can only have one operation and no transition');
		this.#first(args).proposeChange(changeOf(words, isV1 ? 'v1' : 'v2', transition));
	}

	#sendSnapshot(args: readonly Argument[]): void {
		const [from, to] = args.map(({ key }) => Number(key));
		if (from === undefined || to === undefined) throw new ScriptError('two nodes are needed');
		const { snapshot, status } = this.#node(from);
		const message: Sent = { type: 'snapshot', from, to, term: status.term, snapshot };
		this.#messages.push(message);
		this.#print(describe(message));
	}

	#tick(node: ScriptNode, ticks: number): void {
		for (let i = 0; i < ticks; i++) node.tick();
	}

	#stabilizeDirective(args: readonly Argument[]): void {
		const level = firstOf(args, 'log-level');
		const wasQuiet = this.#isQuiet;
		if (level !== undefined) this.#setLevel(level);
		try {
			const chosen = this.#chosen(args);
			this.#stabilize(chosen.length === 0 ? this.#nodes : chosen);
		} finally {
			this.#isQuiet = wasQuiet;
		}
	}

	/** Round after round, until nothing is left to do. */
	#stabilize(nodes: readonly ScriptNode[]): void {
		for (let [isDone, rounds] = [false, 0]; !isDone; rounds++) {
			if (rounds === ROUNDS_MAX) throw new Error('stabilize does not terminate');
			isDone = true;
			const act = (node: ScriptNode, what: string, run: () => void): void => {
				isDone = false;
				this.#print(`> ${node.id} ${what}\n`);
				this.#indented(run);
			};
			for (const node of nodes) if (node.hasReady) act(node, 'handling Ready', () => this.#take(node.handleReady()));
			for (const node of nodes) {
				if (!this.#messages.some(({ to }) => to === node.id)) continue;
				act(node, 'receiving messages', () => this.#deliver([{ id: node.id, isDropped: false }], undefined));
			}
			for (const node of nodes)
				if (node.appendWork.length > 0)
					act(node, 'processing append thread', () => {
						while (this.#take(node.runAppendThread()));
					});
			for (const node of nodes)
				if (node.applyWork.length > 0)
					act(node, 'processing apply thread', () => {
						while (this.#take(node.runApplyThread()));
					});
		}
	}

	/** Takes what a node did, if it did anything. */
	#take(done: Done | undefined): boolean {
		if (done === undefined) return false;
		this.#print(done.text);
		this.#messages.push(...done.messages);
		return true;
	}

	#deliverDirective(args: readonly Argument[]): void {
		const to = args
			.filter(({ values }) => values.length === 0)
			.map(({ key }) => ({ id: Number(key), isDropped: false }));
		const dropped = allOf(args, 'drop').map((id) => ({ id: Number(id), isDropped: true }));
		if (this.#deliver([...to, ...dropped], firstOf(args, 'type')) === 0) this.#print('no messages\n');
	}

	/** How many messages that was. */
	#deliver(
		recipients: readonly { readonly id: MemberId; readonly isDropped: boolean }[],
		type: string | undefined,
	): number {
		let count = 0;
		for (const { id, isDropped } of recipients) {
			const isMeant = (message: Sent): boolean =>
				message.to === id && !(isDropped && isLocal(message)) && (type === undefined || nameOf(message.type) === type);
			const meant = this.#messages.filter(isMeant);
			this.#messages = this.#messages.filter((message) => !isMeant(message));
			count += meant.length;
			for (const message of meant) {
				this.#print(`${isDropped ? 'dropped: ' : ''}${describe(message)}\n`);
				if (!isDropped) this.#deliverOne(message);
			}
		}
		return count;
	}

	#deliverOne(message: Sent): void {
		try {
			this.#node(message.to).deliver(message);
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			this.#print(`${error.message}\n`);
		}
	}

	#forEach(args: readonly Argument[], what: string, act: (node: ScriptNode) => void): void {
		const nodes = this.#chosen(args);
		for (const node of nodes) {
			if (nodes.length === 1) {
				act(node);
				continue;
			}
			this.#print(`> ${node.id} ${what}\n`);
			this.#indented(() => act(node));
		}
	}

	#indented(act: () => void): void {
		const before = this.#output;
		this.#output = '';
		try {
			act();
		} finally {
			const lines = this.#output.split('\n');
			if (lines.at(-1) === '') lines.pop();
			this.#output = before + lines.map((line) => `  ${line}\n`).join('');
		}
	}

	#print(text: string): void {
		if (!this.#isQuiet) this.#output += text;
	}

	#setLevel(name: string): void {
		const level = LEVELS.indexOf(name.toLowerCase());
		if (level < 0) throw new ScriptError(`log levels must be either of [${LEVELS.join(' ').toUpperCase()}]`);
		this.#isQuiet = level === LEVELS.length - 1;
	}

	#chosen(args: readonly Argument[]): ScriptNode[] {
		return args.filter(({ values }) => values.length === 0).map(({ key }) => this.#node(Number(key)));
	}

	#first(args: readonly Argument[]): ScriptNode {
		return this.#node(Number(args[0]?.key));
	}

	#node(id: MemberId): ScriptNode {
		const node = this.#nodes[id - 1];
		if (node === undefined) throw new Error(`there is no node ${id}`);
		return node;
	}
}

/** Between a node and its own threads, or from a node to itself: never lost. */
function isLocal(message: Sent): boolean {
	return !('from' in message) || message.from === message.to;
}

function allOf(args: readonly Argument[], key: string): readonly string[] {
	return args.find((arg) => arg.key === key)?.values ?? [];
}

function firstOf(args: readonly Argument[], key: string): string | undefined {
	return allOf(args, key)[0];
}
