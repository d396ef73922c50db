/** Dials somebody under any name and with any papers, believes whoever answers, and tries to be served. */
import { isMeshError } from '@beemesh/sdk/errors';
import { createNodeKeys } from '@beemesh/sdk/identity';
import { createLibp2pNode, type SessionIdentity } from '@beemesh/sdk/streams/libp2p';
import type { PeerId } from '@beemesh/sdk/wire';

const DIAL_MS = 5_000;
/** For the other side to change its mind about a stream that it has opened. */
const SECOND_THOUGHT_MS = 300;

export interface Papers {
	/** Of the keys that are used, whosever they are. */
	readonly seed: Uint8Array;
	readonly plane: 'machine' | 'work';
	readonly domain: Uint8Array;
	readonly psk: Uint8Array;
	readonly epoch: number;
	readonly certificate: Uint8Array;
	readonly cid: string;
}

export interface Target {
	readonly peer: string;
	readonly addresses: readonly string[];
}

export interface Refusal {
	readonly served: readonly string[];
	readonly refused: readonly { readonly protocol: string; readonly code: string; readonly message: string }[];
}

/** An identity that proves nothing and asks for no proof. */
export function believingIdentity({
	seed,
	plane,
	domain,
	psk,
	epoch,
	certificate,
	cid,
}: Papers): SessionIdentity<null> {
	const { signer } = createNodeKeys(seed);
	return {
		plane,
		domain,
		psks: () => [psk],
		epoch: () => epoch,
		certificate: () => ({ bytes: certificate, cid }),
		sign: (message) => signer.sign(message),
		verify: (_, remote) => ({ principal: null, cid: `${remote}`, verifySignature: () => true }),
		known: () => undefined,
	};
}

export async function knock(input: {
	readonly papers: Papers;
	readonly target: Target;
	readonly protocols: readonly string[];
}): Promise<Refusal> {
	const { papers, target, protocols } = input;
	const { transport } = await createLibp2pNode({
		session: believingIdentity(papers),
		seed: createNodeKeys(papers.seed).peer.seed,
		listen: [],
	});
	await using _ = transport;
	const served: string[] = [];
	const refused: { protocol: string; code: string; message: string }[] = [];
	for (const protocol of protocols) {
		try {
			const stream = await transport.dial(target.peer as PeerId, protocol, {
				addresses: target.addresses,
				signal: AbortSignal.timeout(DIAL_MS),
			});
			// Who signs last may not know yet that the other side did not believe it.
			const end = stream.source[Symbol.asyncIterator]().next();
			const silence = new Promise<'silent'>((resolve) => setTimeout(resolve, SECOND_THOUGHT_MS, 'silent'));
			await Promise.race([end, silence]);
			served.push(protocol);
			stream.abort(new Error('enough'));
		} catch (error) {
			const code = isMeshError(error) ? error.code : 'none';
			refused.push({ protocol, code, message: (error as Error).message });
		}
	}
	return { served, refused };
}
