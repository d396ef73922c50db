/** A small run of the campaign over every decoder, with another seed each time; and that its judge sees what is wrong. */
import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { MeshError } from '../../../sdk/src/errors.ts';
import { openRecord, peekRecord } from '../../../sdk/src/identity/index.ts';
import { decodeRecord } from '../../../sdk/src/wire/index.ts';
import { CaseRandom } from '../random.ts';
import { Cases, hex, type Outcome } from './case.ts';
import { treeOf } from './cbor-tree.ts';
import { type Corpus, createCorpus } from './corpus.ts';
import { MADE_OF_NOTHING, recordCodes, type Target } from './target.ts';

/** Each of them signs, encapsulates or shakes hands in every case. */
const SLOW = /^signed anew|inside$|^handshake/;

describe('decoders of bytes from outside', () => {
	let corpus: Corpus;
	let cases: Cases;
	before(async () => {
		corpus = createCorpus();
		cases = await Cases.create(corpus);
	});

	it('take what is valid', async () => {
		for (const { name, samples, accept } of cases.targets) {
			// The one sample is of another handshake, and the other is a host's refusal.
			if (/^handshake meets M[234]|answer to a preface/.test(name)) continue;
			for (const sample of samples)
				await Promise.resolve(accept(sample.slice())).catch((error) => expect.fail(`${name}: ${error}`));
		}
	});

	it('refuse some hundred altered inputs each, and nothing else happens', async function () {
		this.timeout(60_000);
		const seed = randomInt(2 ** 32);
		for (const [place, { name }] of cases.targets.entries()) {
			const count = SLOW.test(name) ? 8 : 100;
			for (let index = 0; index < count; index++) {
				const { finding } = await cases.run(new CaseRandom(seed, index), place);
				expect(
					finding,
					`${name}, seed ${seed}, case ${index}: ${finding?.what} ${hex(finding?.mutant ?? new Uint8Array(0))}`,
				).to.equal(undefined);
			}
		}
	});

	it('are given the same input by the same seed and number', () => {
		const drawn = (seed: number) =>
			Array.from({ length: 50 }, (_, index) => {
				const { place, bytes } = cases.mutant(new CaseRandom(seed, index));
				return `${place} ${hex(bytes)}`;
			});
		expect(drawn(7)).to.deep.equal(drawn(7));
		expect(drawn(7)).not.to.deep.equal(drawn(8));
	});

	it('have trees that reach into records in records', () => {
		const tree = treeOf(corpus.records.tender);
		const grant = decodeRecord(corpus.records['tender-grant']) as { readonly b: Uint8Array };
		const { quota } = decodeRecord(grant.b) as { readonly quota: number };
		const texts = tree?.spans
			.filter(({ major }) => major === 3)
			.map(({ content, end }) => Buffer.from(tree.bytes.subarray(content, end)).toString());
		expect(texts).to.include('requesterAddresses');
		expect(texts, 'of the grant in the tender').to.include('quota');
		expect(quota).to.equal(8);
	});

	describe('that err', () => {
		/** Outcomes of a few hundred cases of one decoder. */
		const findingsOf = async (accept: Target['accept'], change: Partial<Target> = {}): Promise<string[]> => {
			const target: Target = {
				...{ name: 'planted', weight: 1, form: 'cbor', refuses: recordCodes },
				...{ samples: [corpus.records.lease], accept },
				...change,
			};
			const planted = Cases.of([target], corpus.authentic);
			const outcomes: Outcome[] = [];
			for (let index = 0; index < 300; index++) outcomes.push(await planted.run(new CaseRandom(1, index)));
			return outcomes.flatMap(({ finding }) => (finding === undefined ? [] : [finding.what]));
		};
		const key = (): Uint8Array => corpus.machine.signer.publicKey;

		it('are not found out where they do not', async () => {
			const right = (bytes: Uint8Array) => ({ proved: [openRecord('lease', bytes, [key()]).envelope] });
			expect(await findingsOf(right)).to.deep.equal([]);
		});

		it('are found out when they believe what nobody has signed', async () => {
			const findings = await findingsOf((bytes) => ({ proved: [peekRecord('lease', bytes).envelope] }));
			expect(findings.length).to.be.above(3);
			expect(findings[0]).to.match(/nobody has signed/);
		});

		it('are found out when they throw what is no refusal', async () => {
			const findings = await findingsOf((bytes) => {
				const { b } = decodeRecord(bytes) as { readonly b: Uint8Array };
				b.subarray(0);
				return MADE_OF_NOTHING;
			});
			expect(findings.length).to.be.above(3);
			expect(findings[0]).to.match(/threw TypeError/);
			const lost = await findingsOf(async () => {
				throw new MeshError('internal', 'a code that it does not have');
			});
			expect(lost[0]).to.match(/threw MeshError/);
		});

		it('are found out when they take two encodings for one', async () => {
			const findings = await findingsOf(() => ({ canonical: corpus.records.lease }));
			expect(findings[0]).to.match(/its encoding is/);
		});

		it('are found out when encoding what they decode does not settle', async () => {
			const findings = await findingsOf(() => ({ again: (bytes) => Uint8Array.of(...bytes.subarray(0, 8), 1) }), {
				samples: [new Uint8Array(3)],
				form: 'bytes',
			});
			expect(findings[0]).to.match(/is encoded as/);
		});

		it('are found out when they take long, every time', async () => {
			const computedMs = (): number => process.threadCpuUsage().user / 1000;
			let calls = 0;
			const findings = await findingsOf(() => {
				// Long for three tries of one case, and long once in another.
				calls++;
				const untilMs = computedMs() + (calls <= 3 || calls === 10 ? 110 : 0);
				while (computedMs() < untilMs);
				return MADE_OF_NOTHING;
			});
			expect(findings.length).to.equal(1);
			expect(findings[0]).to.match(/took \d+ ms/);
		});
	});
});
