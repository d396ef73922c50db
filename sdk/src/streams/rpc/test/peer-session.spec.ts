import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import type { Link } from '../link.ts';
import { PeerSession } from '../peer-session.ts';

/** Answers a proof when it is told to. */
class TestLink {
	readonly remote = 'b';
	readonly remoteInstance = 'one';
	readonly initiator: boolean;
	open = true;
	retiring = false;
	readonly #answers: boolean[];
	readonly #onClose: ((error?: Error) => void)[] = [];

	constructor(initiator: boolean, answers: readonly boolean[] = []) {
		this.initiator = initiator;
		this.#answers = [...answers];
	}

	async ping(): Promise<number> {
		if (this.#answers.shift() === true) return 1;
		throw new MeshError('deadline', 'no answer to a ping');
	}

	retire(): void {
		this.retiring = true;
		this.#end();
	}

	abort(error: Error): void {
		if (this.open) this.#end(error);
	}

	onClose(listener: (error?: Error) => void): void {
		this.#onClose.push(listener);
	}

	#end(error?: Error): void {
		this.open = false;
		for (const listener of this.#onClose) listener(error);
	}
}

/** Of the peer with the lower ID: of two links it keeps the one that it opened itself. */
async function settle(kept: TestLink, other: TestLink): Promise<PeerSession<unknown>> {
	const session = new PeerSession<unknown>('a' as PeerId, kept as unknown as Link<unknown>);
	session.add(other as unknown as Link<unknown>);
	while (kept.open && other.open) await Promise.resolve();
	return session;
}

describe('two links with one process', () => {
	it('are one as soon as the one that stays has answered', async () => {
		const [kept, other] = [new TestLink(true, [true]), new TestLink(false)];
		const session = await settle(kept, other);
		expect([session.open, kept.open, other.retiring]).to.deep.equal([true, true, true]);
	});

	it('are not both given up when the answer comes late', async () => {
		const [kept, other] = [new TestLink(true, [false, false, true]), new TestLink(false)];
		const session = await settle(kept, other);
		expect([session.open, kept.open, other.retiring]).to.deep.equal([true, true, true]);
	});

	it('are the other one when no answer comes', async () => {
		const [kept, other] = [new TestLink(true, [false, false, false, true]), new TestLink(false)];
		const session = await settle(kept, other);
		expect([session.open, kept.open, other.open, other.retiring]).to.deep.equal([true, false, true, false]);
	});
});
