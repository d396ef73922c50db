import { expect } from 'chai';
import { describe, it } from 'mocha';
import { parseYaml, YAML_LIMITS } from '../yaml.ts';

const errorOf = (text: string) =>
	parseYaml(text)
		.flatMap(({ errors }) => errors)
		.join('\n');

describe('YAML', () => {
	it('is read document by document; empty ones only count', () => {
		const documents = parseYaml('a: 1\n---\n---\n# nothing\n---\nb: 2\n');
		expect(documents.map(({ number, value }) => ({ number, value }))).to.deep.equal([
			{ number: 1, value: { a: 1 } },
			{ number: 4, value: { b: 2 } },
		]);
		expect(parseYaml('')).to.deep.equal([]);
	});

	it('keeps one broken document from hiding the others', () => {
		const documents = parseYaml('a: 1\na: 2\n---\nb: 2\n');
		expect(documents[0]?.errors[0]).to.match(/^line 2, column 1: Map keys must be unique/);
		expect(documents[1]?.value).to.deep.equal({ b: 2 });
	});

	it('names the place of what is malformed', () => {
		expect(errorOf('a: [1\nb: 2\n')).to.match(/^line 2, column 1: /);
		expect(errorOf('a: !!js/function x\n')).to.match(/^line 1, column 4: Unresolved tag/);
	});

	it('has no aliases, so that nothing can grow', () => {
		const bomb = [
			'a: &a [x, x]',
			...Array.from({ length: 20 }, (_, i) => `b${i}: &b${i} [*${i === 0 ? 'a' : `b${i - 1}`}, *a]`),
		].join('\n');
		expect(errorOf(bomb)).to.match(/^line 2, column \d+: aliases \(\*a\) are not accepted/);
	});

	it('is bounded in depth, documents and bytes', function () {
		this.timeout(20_000);
		const nested = (depth: number) => `${'{a: '.repeat(depth)}1${'}'.repeat(depth)}`;
		expect(errorOf(nested(60))).to.equal('');
		expect(errorOf(nested(80))).to.contain('nested deeper than 64');
		expect(errorOf('['.repeat(100_000))).to.match(/^line 1, column \d+: nested deeper than 64$/);
		expect(errorOf('a: 1\n---\n'.repeat(YAML_LIMITS.documentsMax + 1))).to.contain('the limit is 64');
		expect(errorOf(`a: ${'x'.repeat(YAML_LIMITS.bytesMax)}`)).to.contain('larger than');
	});

	it('refuses names that JavaScript would take for its own', () => {
		expect(errorOf('a: {__proto__: {x: 1}}')).to.contain('"__proto__" is not accepted as a name');
		expect(errorOf('{a: 1}: 2')).to.contain('a name must be a plain word');
	});
});
