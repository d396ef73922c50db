/**
 * What misbehaviour in gossip costs. A score begins at 0 and only falls; it recovers in tens of seconds. Below `greylisted`
 * nothing of a peer is looked at; below `expelled` it is disconnected and not let in again for a minute.
 *
 * Nothing is earned by behaving: in a mesh of machines that know each other there is no reputation to buy.
 */
import type { GossipsubOpts } from '@libp2p/gossipsub';

export const SCORES = { noGossip: -10, unpublished: -50, greylisted: -80, expelled: -200 } as const;
/** How long an expelled peer stays out. */
export const BAN_MS = 60_000;

type Scoring = Required<Pick<GossipsubOpts, 'scoreParams' | 'scoreThresholds'>>;

/** `blameOf`: what a peer overdid outside of the rules that gossipsub itself watches. */
export function scoring(topics: readonly string[], blameOf: (peer: string) => number): Scoring {
	const topic = {
		topicWeight: 1,
		// Messages that any peer could have seen to be invalid: three in a few seconds, and it is greylisted.
		invalidMessageDeliveriesWeight: -15,
		invalidMessageDeliveriesDecay: 0.9,
		timeInMeshWeight: 0,
		timeInMeshQuantum: 1_000,
		timeInMeshCap: 1,
		firstMessageDeliveriesWeight: 0,
		firstMessageDeliveriesDecay: 0.5,
		firstMessageDeliveriesCap: 1,
		// Topics are quiet for minutes, so that few messages come from a peer means nothing.
		meshMessageDeliveriesWeight: 0,
		meshMessageDeliveriesDecay: 0.5,
		meshMessageDeliveriesCap: 1,
		meshMessageDeliveriesThreshold: 1,
		meshMessageDeliveriesWindow: 10,
		meshMessageDeliveriesActivation: 5_000,
		meshFailurePenaltyWeight: 0,
		meshFailurePenaltyDecay: 0.5,
	};
	return {
		scoreParams: {
			topics: Object.fromEntries(topics.map((name) => [name, topic])),
			topicScoreCap: 1,
			appSpecificScore: (peer) => -blameOf(peer),
			appSpecificWeight: 10,
			// Hosts of one site often share an address, and those of a test always do.
			IPColocationFactorWeight: 0,
			// GRAFT before its time, messages announced and never sent. A host that restarts does the first a few times.
			behaviourPenaltyWeight: -10,
			behaviourPenaltyThreshold: 6,
			behaviourPenaltyDecay: 0.9,
			decayInterval: 1_000,
			decayToZero: 0.1,
			// Scores of those who left do not recover, and must not outlast the ban.
			retainScore: BAN_MS - 5_000,
		},
		scoreThresholds: {
			gossipThreshold: SCORES.noGossip,
			publishThreshold: SCORES.unpublished,
			graylistThreshold: SCORES.greylisted,
			acceptPXThreshold: 1_000,
			opportunisticGraftThreshold: 0,
		},
	};
}
