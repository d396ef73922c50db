import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createRateLimit } from './rate.ts';
import { createReplayCache, DEFAULT_REPLAY } from './replay.ts';

describe('replay cache', () => {
	it('knows a nonce for 5.5 minutes, per sender', () => {
		const cache = createReplayCache();
		expect(cache.commit('a', 'n', 0)).to.equal('fresh');
		expect(cache.check('a', 'n', DEFAULT_REPLAY.windowMs - 1)).to.equal('replayed');
		expect(cache.check('b', 'n', 0)).to.equal('fresh');
		expect(cache.check('a', 'n', DEFAULT_REPLAY.windowMs)).to.equal('fresh');
	});

	it('changes nothing by looking', () => {
		const cache = createReplayCache();
		expect(cache.check('a', 'n', 0)).to.equal('fresh');
		expect(cache.check('a', 'n', 0)).to.equal('fresh');
	});

	it('refuses a sender whose memory is full, keeps every live nonce, and leaves others alone', () => {
		const cache = createReplayCache();
		for (let i = 0; i < 2048; i++) expect(cache.commit('flood', `n${i}`, i)).to.equal('fresh');
		expect(cache.commit('flood', 'one more', 2048)).to.equal('full');
		expect(cache.check('flood', 'n0', 2048)).to.equal('replayed');
		expect(cache.commit('calm', 'n', 2048)).to.equal('fresh');
		// The first nonce has gone its way: there is room for one.
		expect(cache.commit('flood', 'later', DEFAULT_REPLAY.windowMs)).to.equal('fresh');
		expect(cache.commit('flood', 'and more', DEFAULT_REPLAY.windowMs)).to.equal('full');
	});

	it('refuses new senders when it knows too many, until the old ones are forgotten', () => {
		const cache = createReplayCache({ ...DEFAULT_REPLAY, sendersMax: 2 });
		cache.commit('a', 'n', 0);
		cache.commit('b', 'n', 1);
		expect(cache.commit('c', 'n', 2)).to.equal('full');
		expect(cache.commit('c', 'n', DEFAULT_REPLAY.windowMs)).to.equal('fresh');
	});
});

describe('rate limit', () => {
	it('lets a burst through, then the rate, and looking costs nothing', () => {
		const rate = createRateLimit({ perMinute: 60, burst: 2 });
		for (let i = 0; i < 5; i++) expect(rate.allows('a', 0)).to.equal(true);
		rate.spend('a', 0);
		rate.spend('a', 0);
		expect(rate.allows('a', 0)).to.equal(false);
		expect(rate.allows('b', 0)).to.equal(true);
		expect(rate.allows('a', 999)).to.equal(false);
		expect(rate.allows('a', 1_000)).to.equal(true);
	});
});
