import { expect } from 'chai';
import { describe, it } from 'mocha';
import { cidOf, createKeyPair, genesisFor, signRecord, workloadIdOf } from '../../identity/index.ts';
import { encodeRecord, type RecordCid } from '../../wire/index.ts';
import { type MembersCommand, type MembersState, membersMachine } from '../members-machine.ts';

const key = createKeyPair();
const wid = workloadIdOf(genesisFor(key.publicKey, 'StatefulSet', 'default', 'kv'));
const none = cidOf(new Uint8Array([0xa0])) as RecordCid;

function link(era: number, e: number): Uint8Array {
	const body = { wid, era, e, prev: none, members: [], vacant: [], groupKeyCommit: new Uint8Array(32), ts: era + e };
	return encodeRecord({ epoch: signRecord('epoch', body, key), certs: [] });
}

describe('the members of a stateful workload, as agreed on', () => {
	const apply = (state: MembersState, command: MembersCommand) => membersMachine.apply(state, command, {} as never);

	it('take one epoch after each, the first that is agreed on, and of a higher era any', () => {
		const state = membersMachine.init();
		const first = link(7, 3);
		expect(apply(state, { type: 'epoch', link: first }).ok).to.equal(true);
		for (const late of [link(7, 3), link(7, 2), link(6, 9)]) {
			expect(apply(state, { type: 'epoch', link: late }).ok).to.equal(false);
			expect(state.link).to.equal(first);
		}
		for (const next of [link(7, 4), link(8, 0)]) expect(apply(state, { type: 'epoch', link: next }).ok).to.equal(true);
	});

	it('change no holder by an epoch that came too late', () => {
		const state = membersMachine.init();
		apply(state, {
			type: 'found',
			holders: [
				{ slot: 0, gen: 1 },
				{ slot: 1, gen: 1 },
			],
		});
		apply(state, { type: 'epoch', link: link(7, 3) });
		expect(apply(state, { type: 'retire', slot: 1, gen: 1, link: link(7, 3) }).ok).to.equal(false);
		expect(state.slots.get(1)).to.include({ gen: 1, isRetired: false });
		expect(apply(state, { type: 'retire', slot: 1, gen: 1, link: link(7, 4) }).ok).to.equal(true);
		expect(state.slots.get(1)).to.include({ gen: 1, isRetired: true });
	});

	it('come to the same state whatever is in the log', () => {
		const state = membersMachine.init();
		const first = link(7, 3);
		expect(apply(state, { type: 'epoch', link: new Uint8Array(9) }).ok).to.equal(false);
		apply(state, { type: 'epoch', link: first });
		for (const junk of [new Uint8Array(9), encodeRecord({ epoch: new Uint8Array(4), certs: [] })])
			expect(apply(state, { type: 'epoch', link: junk }).ok).to.equal(false);
		expect(state.link).to.equal(first);
	});
});
