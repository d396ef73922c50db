import type { RecordCid } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createAdmissions } from './admissions.ts';

const [one, two] = ['csr-one', 'csr-two'] as RecordCid[] as [RecordCid, RecordCid];

describe('admission requests on an award', () => {
	it('asks once, and gives the same answer to the same request ever after', () => {
		const admissions = createAdmissions<string>();
		expect(admissions.request('award', one, true, 100, 0)).to.deep.equal({ type: 'ask' });
		expect(admissions.request('award', one, true, 100, 1)).to.deep.equal({ type: 'wait' });
		expect(admissions.answer('award', one, 'certificate')).to.equal(true);
		expect(admissions.answer('award', one, 'another')).to.equal(true);
		// Also when the placement is over: the first answer may have been lost on its way.
		expect(admissions.request('award', one, false, 100, 2)).to.deep.equal({ type: 'answered', answer: 'certificate' });
	});

	it('refuses another request on the same award', () => {
		const admissions = createAdmissions<string>();
		admissions.request('award', one, true, 100, 0);
		expect(admissions.request('award', two, true, 100, 0).type).to.equal('refused');
		expect(admissions.answer('award', two, 'certificate')).to.equal(false);
	});

	it('refuses an award that is not live or has expired, and forgets it then', () => {
		const admissions = createAdmissions<string>();
		expect(admissions.request('award', one, false, 100, 0).type).to.equal('refused');
		expect(admissions.request('award', one, true, 100, 101).type).to.equal('refused');
		admissions.request('award', one, true, 100, 100);
		admissions.answer('award', one, 'certificate');
		expect(admissions.request('award', one, false, 100, 101).type).to.equal('refused');
	});
});
