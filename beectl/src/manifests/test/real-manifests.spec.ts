/**
 * Manifests that others wrote. The collection is not part of the repository: its folder comes from
 * `BEEMESH_MANIFESTS`, or lies beside the checkout as `shared/manifests`.
 */
import { existsSync, globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { loadManifests, readSources } from '../index.ts';

const folder =
	process.env.BEEMESH_MANIFESTS ?? fileURLToPath(new URL('../../../../../shared/manifests', import.meta.url));

describe('real manifests', () => {
	it('are accepted, or refused with a field path; none is dropped silently', async function () {
		this.timeout(30_000);
		if (!existsSync(folder)) {
			console.log(`      skipped: no manifests at ${folder}; set BEEMESH_MANIFESTS`);
			return this.skip();
		}
		const files = globSync(`${folder}/**/*.{yaml,yml}`).sort();
		const seen = { workloads: 0, accepted: 0, refused: 0, unreadable: 0 };
		for (const file of files) {
			const sources = await readSources([file], process.stdin);
			const loaded = loadManifests(sources);
			const inText = [...(sources[0]?.text ?? '').matchAll(/^kind:\s*"?(Deployment|StatefulSet)"?\s*$/gm)].length;
			const refused = new Set<string>();
			for (const error of loaded.errors) {
				const match = /^(.*: document \d+) \((?:Deployment|StatefulSet)[^)]*\): (.*)$/s.exec(error);
				if (match === null) continue;
				refused.add(match[1] ?? '');
				expect(match[2], error).to.match(/^(?:strict decoding error: unknown field "|[a-zA-Z]+(?:[.[][^ ]+)?: )/);
			}
			// A file that is not YAML at all is refused as a whole.
			const isReadable = !loaded.errors.some((error) => / document \d+: line \d+/.test(error));
			if (isReadable) expect(loaded.workloads.length + refused.size, file).to.equal(inText);
			else seen.unreadable += inText - loaded.workloads.length - refused.size;
			seen.workloads += inText;
			seen.accepted += loaded.workloads.length;
			seen.refused += refused.size;
		}
		expect(files.length).to.be.greaterThan(200);
		console.log(`      ${files.length} files: ${JSON.stringify(seen)}`);
		expect(seen).to.deep.equal({ workloads: 67, accepted: 27, refused: 37, unreadable: 3 });
	});
});
