/** The directives `committed` and `vote` of etcd-io/raft's quorum scripts. */
import { jointIndex, jointVote, majorityIndex, majorityVote } from '../../sdk/src/raft/core/quorum.ts';
import type { MemberId } from '../../sdk/src/raft/core/types.ts';
import type { Directive } from './script.ts';

const RESULTS = { won: 'VoteWon', lost: 'VoteLost', pending: 'VotePending' } as const;
const UNKNOWN = '_';

export class QuorumScript {
	run({ command, args }: Directive): string {
		const valuesOf = (key: string): readonly string[] | undefined => args.find((arg) => arg.key === key)?.values;
		const idsOf = (key: string): ReadonlySet<MemberId> =>
			new Set((valuesOf(key) ?? []).filter((value) => value !== 'zero').map(Number));
		const [incoming, outgoing] = [idsOf('cfg'), idsOf('cfgj')];
		const isJoint = valuesOf('cfgj') !== undefined;
		const ids = [...new Set([...incoming, ...outgoing])];
		const given = valuesOf(command === 'vote' ? 'votes' : 'idx') ?? [];
		if (given.length !== ids.length)
			return `error: mismatched input (explicit or _) for voters [${ids.join(' ')}]: [${given.join(' ')}]`;
		const answers = new Map(ids.map((id, i) => [id, given[i] === UNKNOWN ? undefined : given[i]]));

		if (command === 'vote') {
			const votes = (id: MemberId): boolean | undefined => {
				const answer = answers.get(id);
				return answer === undefined ? undefined : answer === 'y';
			};
			if (!isJoint) return RESULTS[majorityVote(incoming, votes)];
			const result = jointVote({ incoming, outgoing }, votes);
			const mirrored = jointVote({ incoming: outgoing, outgoing: incoming }, votes);
			return mirrored === result ? RESULTS[result] : `${RESULTS[mirrored]} <-- via symmetry\n${RESULTS[result]}`;
		}
		if (command !== 'committed') return 'unknown command';
		const indices = (id: MemberId): number | undefined => {
			const answer = answers.get(id);
			return answer === undefined ? undefined : Number(answer);
		};
		const table = describeIndices(
			[...ids].sort((a, b) => a - b),
			indices,
		);
		const index = isJoint ? jointIndex({ incoming, outgoing }, indices) : majorityIndex(incoming, indices);
		return `${table}${indexText(index)}`;
	}
}

function indexText(index: number): string {
	return Number.isFinite(index) ? String(index) : '∞';
}

/** A bar per voter, the longer the more voters are behind it. */
function describeIndices(ids: readonly MemberId[], indexOf: (id: MemberId) => number | undefined): string {
	if (ids.length === 0) return '<empty majority quorum>';
	const all = ids.map((id) => indexOf(id) ?? 0);
	const rows = ids.map((id) => {
		const index = indexOf(id);
		const bar = all.filter((other) => other < (index ?? 0)).length;
		const drawn =
			index === undefined ? `?${' '.repeat(ids.length)}` : `${'x'.repeat(bar)}>${' '.repeat(ids.length - bar)}`;
		return `${drawn} ${String(index ?? 0).padStart(5)}    (id=${id.toString(16)})\n`;
	});
	return `${' '.repeat(ids.length)}    idx\n${rows.join('')}`;
}
