import { expect } from 'chai';
import { describe, it } from 'mocha';
import { certifiedPart, effectiveLabels, unmetSelector } from './labels.ts';

const OWN = 'self-declared.beemesh.io/';

describe('labels that count', () => {
	it('are the certified ones, whatever the machine says of itself', () => {
		const labels = effectiveLabels({ zone: 'eu' }, { zone: 'us', trusted: 'true', [`x.${OWN}a`]: '1', SELF: '2' });
		expect(labels).to.deep.equal({ zone: 'eu' });
	});

	it('and those declared under their prefix, unless the certificate says otherwise', () => {
		const labels = effectiveLabels({ [`${OWN}a`]: 'certified' }, { [`${OWN}a`]: 'mine', [`${OWN}b`]: 'mine' });
		expect(labels).to.deep.equal({ [`${OWN}a`]: 'certified', [`${OWN}b`]: 'mine' });
	});

	it('are at most 64, the certified ones first, and the same when judged again', () => {
		const many = (prefix: string) => Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${prefix}${i}`, 'x']));
		const labels = effectiveLabels(many('c'), many(OWN));
		expect(Object.keys(labels)).to.have.length(64);
		expect(labels).to.include(many('c'));
		expect(effectiveLabels(many('c'), labels)).to.deep.equal(labels);
	});

	it('are not fooled by inherited names', () => {
		const hostile = JSON.parse('{"__proto__": "x"}') as Record<string, string>;
		expect(unmetSelector({ constructor: 'x' }, {})).to.match(/certified for no such label/);
		expect(unmetSelector(hostile, effectiveLabels({}, {}))).to.match(/certified for no such label/);
		expect(unmetSelector(hostile, effectiveLabels(hostile, {}))).to.equal(undefined);
	});

	it('are judged with a word on whose they are', () => {
		expect(unmetSelector({ zone: 'eu' }, { zone: 'eu' })).to.equal(undefined);
		expect(unmetSelector({ zone: 'eu' }, { zone: 'us' })).to.equal('nodeSelector: needs zone=eu, the host has us');
		expect(unmetSelector({ [`${OWN}a`]: '1' }, {})).to.equal(
			`nodeSelector: needs ${OWN}a=1, the host declares no such label`,
		);
		expect(certifiedPart({ zone: 'eu', [`${OWN}a`]: '1' })).to.deep.equal({ zone: 'eu' });
	});
});
