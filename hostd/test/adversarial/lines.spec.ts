import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { LINES } from './lines.ts';

const ROOT = join(import.meta.dirname, '../../..');

describe('what an adversary may try', () => {
	for (const { line, tests } of LINES)
		it(`has its tests: ${line}`, () => {
			expect(tests).not.to.deep.equal([]);
			for (const [file, title] of tests) {
				expect(existsSync(join(ROOT, file)), file).to.equal(true);
				expect(titlesIn(file), `a test of ${file}`).to.include(title);
			}
		});
});

function titlesIn(file: string): string[] {
	const text = readFileSync(join(ROOT, file), 'utf8');
	return [...text.matchAll(/\b(?:it|attack)\(\s*(['`])(.*?)\1,/g)].map(([, , title = '']) =>
		title.replace(/'?\$\{[^}]*\}'?/g, '…'),
	);
}
