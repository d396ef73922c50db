/** The directives `simple`, `enter-joint` and `leave-joint` of etcd-io/raft's scripts on configuration changes. */
import {
	enterJoint,
	ImpossibleChange,
	leaveJoint,
	Membership,
	simpleChange,
} from '../../sdk/src/raft/core/membership.ts';
import { describeMembership, describeProgress } from './describe.ts';
import { changeOf } from './node.ts';
import type { Directive } from './script.ts';

/** How etcd says what our core says. */
const WORDS: Readonly<Record<string, string>> = {
	'the group is already in a joint state': 'config is already joint',
	'a group without voters cannot enter a joint state': "can't make a zero-voter config joint",
	'the group is not in a joint state': "can't leave a non-joint config",
	'the group must leave its joint state first': "can't apply simple config change in joint config",
	'more than one voter changes without a joint state': 'more than one voter changed without entering joint config',
	'the last voter would be removed': 'removed all voters',
};

export class MembershipScript {
	#membership = new Membership();
	/** Grows with each directive. */
	#lastIndex = 0;

	run(directive: Directive): string {
		try {
			this.#membership = this.#changed(directive);
			return this.#describe();
		} catch (error) {
			if (error instanceof ImpossibleChange) return WORDS[error.message] ?? error.message;
			throw error;
		} finally {
			this.#lastIndex++;
		}
	}

	#changed({ command, args, input }: Directive): Membership {
		const limits = { inflightMessagesMax: 10, inflightBytesMax: Number.MAX_SAFE_INTEGER };
		const context = { lastIndex: this.#lastIndex, limits };
		const { changes } = changeOf(input.trim(), 'v2', 'auto');
		if (command === 'simple') return simpleChange(this.#membership, changes, context);
		if (command === 'leave-joint') return leaveJoint(this.#membership);
		const isAutoLeave = args.some(({ key, values }) => key === 'autoleave' && values[0] === 'true');
		return enterJoint(this.#membership, changes, isAutoLeave, context);
	}

	#describe(): string {
		const lines = [...this.#membership.progress]
			.sort(([a], [b]) => a - b)
			.map(([id, progress]) => {
				const { inflights, state, matchIndex, nextIndex, isLearner, isPaused, isRecentlyActive, pendingSnapshotIndex } =
					progress;
				const window = { inflightCount: inflights.count, isInflightFull: inflights.isFull };
				const rest = { state, matchIndex, nextIndex, isLearner, isPaused, isRecentlyActive, pendingSnapshotIndex };
				return describeProgress({ id, ...rest, ...window });
			});
		return [describeMembership(this.#membership), ...lines].join('\n');
	}
}
