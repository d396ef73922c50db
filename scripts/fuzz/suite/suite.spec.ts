/** A small run of the differential campaign, with another seed each time: the seed is printed when it finds something. */
import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { MlKemKey, PqBackend } from '../../../sdk/src/identity/suite/backend.ts';
import { javascriptBackend, nativeBackend } from '../../../sdk/src/identity/suite/index.ts';
import { CaseRandom } from '../random.ts';
import { compareBackends } from './campaign.ts';
import { kindNames, kindOfCase, runCase } from './kinds.ts';

describe('native and JavaScript cryptography', () => {
	it('agree on 300 cases, some of every kind', async function () {
		this.timeout(60_000);
		if (nativeBackend === undefined) {
			const missing = `Node ${process.version} has no native ML-DSA-65 and ML-KEM-768`;
			if (process.env.CI) throw new Error(missing);
			console.log(`      skipped: ${missing}`);
			return this.skip();
		}
		const lines: string[] = [];
		const plan = {
			cases: 300,
			seed: randomInt(2 ** 32),
			from: 0,
			workers: 1,
			tell: (line: string) => lines.push(line),
		};
		const { passed, summary } = await compareBackends(plan);
		expect(passed, lines.join('\n')).to.equal(true);
		expect(summary).to.include({ cases: 300, disagreements: 0, seed: plan.seed });
		const counts = Object.values(summary.mix as Record<string, number>);
		expect(counts).to.have.length(kindNames.length);
		expect(Math.min(...counts), 'every kind has at least 1 % of the cases').to.be.at.least(3);
	});

	it('are found out when one of them errs', () => {
		// The JavaScript backend in both roles, so that this holds without the native one.
		const right = javascriptBackend;
		const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
		const decapsulatesWrong = (seed: Uint8Array): MlKemKey => {
			const key = right.mlKemKey(seed);
			return { ...key, decapsulate: (ciphertext) => flip(key.decapsulate(ciphertext)) };
		};
		const throws = (): never => {
			throw new TypeError('not a refusal');
		};
		const errors: readonly (readonly [string, Partial<PqBackend>])[] = [
			['ml-dsa altered signature, key, message or context', { mlDsaVerifier: () => ({ verify: () => true }) }],
			['ml-dsa javascript signs, native verifies', { mlDsaVerifier: () => ({ verify: () => false }) }],
			['ml-dsa key generation', { mlDsaKey: (seed) => right.mlDsaKey(flip(seed)) }],
			['ml-kem javascript encapsulates, native decapsulates', { mlKemKey: decapsulatesWrong }],
			['ml-kem altered ciphertext', { mlKemKey: decapsulatesWrong }],
			['hpke message, altered or not', { mlKemKey: decapsulatesWrong }],
			['ml-kem altered public key', { mlKemEncapsulate: throws }],
		];
		for (const [kind, wrong] of errors) {
			const backends = { native: { ...right, ...wrong }, javascript: right };
			const findings: string[] = [];
			for (let index = 0; index < 100; index++) {
				if (kindNames[kindOfCase(index)] !== kind) continue;
				const { disagreement } = runCase(new CaseRandom(1, index), index, backends);
				if (disagreement !== undefined) findings.push(disagreement);
			}
			expect(findings, kind).to.be.an('array').that.is.not.empty;
			expect(findings[0]?.startsWith(kind), findings[0]).to.equal(true);
		}
	});

	it('are given the same case by the same seed and number', () => {
		const draw = (random: CaseRandom) => [random.bytes(1500), random.below(1000), random.bytes(3)];
		expect(draw(new CaseRandom(7, 12))).to.deep.equal(draw(new CaseRandom(7, 12)));
		expect(draw(new CaseRandom(7, 12))).not.to.deep.equal(draw(new CaseRandom(7, 13)));
		expect(draw(new CaseRandom(7, 12))).not.to.deep.equal(draw(new CaseRandom(8, 12)));
	});
});
