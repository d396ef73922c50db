import { isMeshError } from '@beemesh/sdk/errors';
import { cidOf, createKeyPair, signRecord } from '@beemesh/sdk/identity';
import { type Bundle, decodeRecord, encodeRecord } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createWorkload } from '../scheduler/test/workload.ts';
import { openKept } from './adopted.ts';

describe('a pod that a restarted host takes back', () => {
	const owner = createKeyPair();
	const { bundle, charter } = createWorkload('web', 64, owner);
	const nowMs = Date.now();
	/** What its owner may sign while it runs. */
	const chartered = (manifest: unknown): Bundle => {
		const bytes = encodeRecord(manifest);
		return {
			...bundle,
			manifest: bytes,
			charter: signRecord('charter', { ...charter, manifestCid: cidOf(bytes) }, owner),
		};
	};
	const refusedAs = (kept: ReturnType<typeof openKept>): string | undefined =>
		'error' in kept && isMeshError(kept.error) ? kept.error.code : undefined;

	it('is known by its charter and manifest', () => {
		expect(openKept(bundle, nowMs)).to.have.nested.property('opened.wid', charter.wid);
	});

	it('does not keep it from starting when the charter has expired', () => {
		expect(refusedAs(openKept(bundle, charter.exp + 1))).to.equal('unauthorized');
	});

	it('does not keep it from starting when its owner has signed a manifest of another form', () => {
		const manifest = decodeRecord(bundle.manifest) as { readonly spec: object };
		for (const odd of [
			[],
			null,
			{ ...manifest, spec: {} },
			{ ...manifest, metadata: { name: 'other', namespace: 'default' } },
		])
			expect(refusedAs(openKept(chartered(odd), nowMs)), JSON.stringify(odd)).to.equal('invalid_input');
		const resources = { requests: { cpu: 'many' } };
		const template = { spec: { containers: [{ name: 'main', image: 'image', resources }] } };
		expect(refusedAs(openKept(chartered({ ...manifest, spec: { template } }), nowMs))).to.equal('invalid_input');
	});
});
