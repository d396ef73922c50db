/** Raft's messages over the sessions between replicas: a channel per group. Who sent them is what its certificate says. */
import type { Directory } from '../discovery/index.ts';
import type { GroupLink } from '../raft/link.ts';
import { type ReplicaCert, type ReplicaId, raftMemberId, slotOfMember } from '../wire/index.ts';

export function sessionLink(directory: Directory, group: string): GroupLink {
	const { node, own } = directory;
	const channel = `raft/${group}`;
	const peers = new Map<number, ReplicaId>();

	/** Of a restart in place the newest incarnation. */
	const peerOf = (member: number): ReplicaId | undefined => {
		const known = peers.get(member);
		if (known !== undefined && node.get(known) !== undefined) return known;
		const { slot, gen } = slotOfMember(member);
		let best: ReplicaCert | undefined;
		// Not only the live: one that is displaced votes until its successor does.
		for (const { principal } of node.sessions()) {
			const { cert, isMember } = principal;
			if (!isMember || cert.slot !== slot || cert.gen !== gen) continue;
			if (best === undefined || cert.incarnation > best.incarnation) best = cert;
		}
		if (best === undefined) peers.delete(member);
		else peers.set(member, best.replicaId);
		return best?.replicaId;
	};

	return {
		send(to, bytes) {
			const peer = peerOf(to);
			return peer === undefined ? false : (node.get(peer)?.notify(channel, bytes) ?? false);
		},
		onMessage: (listener) =>
			node.services.onNotify(channel, (payload, { principal }) => {
				if (principal.isMember) listener(raftMemberId(principal.cert.slot, principal.cert.gen), payload);
			}),
		onLost: (listener) =>
			directory.listen({
				onMember(wid, { type, record }) {
					if (wid !== own.wid || (type !== 'suspect' && type !== 'removed')) return;
					const member = raftMemberId(record.slot, record.gen);
					if (peers.get(member) === record.replicaId) peers.delete(member);
					listener(member);
				},
			}),
	};
}
