import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import * as v from 'valibot';
import { newProtection, type Protection } from './protection.ts';
import { parseSecretFile, type SecretFileType, secretFileText } from './secret-file.ts';

const TYPE: SecretFileType<{ readonly name: string }> = {
	v: 3,
	type: 'beemesh-example',
	publicSchema: v.strictObject({ name: v.string() }),
	what: 'an example',
	outdated: 'make a new one',
};
const SECRET = new Uint8Array([1, 2, 3, 4]);
const right = async () => 'correct horse';

describe('a secret file', () => {
	let protection: Protection;
	let text: string;
	before(async () => {
		protection = await newProtection('correct horse');
		text = secretFileText(TYPE, { name: 'bee' }, SECRET, protection);
	});
	const changed = (change: (json: Record<string, unknown>) => object) =>
		parseSecretFile(TYPE, JSON.stringify(change(JSON.parse(text) as Record<string, unknown>)), 'f');
	const refusal = (open: Promise<unknown>): Promise<Error & { code: string }> =>
		open.then(
			() => expect.fail('it was opened'),
			(error: Error & { code: string }) => error,
		);

	it('shows its public part to anyone and its secret to the passphrase', async () => {
		const parsed = parseSecretFile(TYPE, text, 'f');
		expect(parsed.publicPart).to.deep.equal({ name: 'bee' });
		expect(parsed.isSealed).to.equal(true);
		expect((await parsed.open(right)).secret).to.deep.equal(SECRET);
		expect((await refusal(parsed.open(async () => 'wrong horse'))).code).to.equal('unauthorized');
	});

	it('takes one passphrase however its letters are composed', async () => {
		const composed = secretFileText(TYPE, { name: 'bee' }, SECRET, await newProtection('caf\u00e9 noir'));
		const { secret } = await parseSecretFile(TYPE, composed, 'f').open(async () => 'cafe\u0301 noir');
		expect(secret).to.deep.equal(SECRET);
	});

	it('cannot be opened when anything in it was changed', async () => {
		const other = Buffer.alloc(12, 9).toString('base64url');
		for (const change of [{ public: { name: 'wasp' } }, { nonce: other }, { sealed: other + other }])
			expect((await refusal(changed((json) => ({ ...json, ...change })).open(right))).code).to.equal('unauthorized');
	});

	it('seals anew under another nonce, without asking again', () => {
		const again = JSON.parse(secretFileText(TYPE, { name: 'bee' }, SECRET, protection)) as {
			nonce: string;
			salt: string;
		};
		const first = JSON.parse(text) as { nonce: string; salt: string };
		expect(again.nonce).not.to.equal(first.nonce);
		expect(again.salt).to.equal(first.salt);
	});

	it('cannot ask for other costs, and is of one version and type', () => {
		for (const [change, message] of [
			[{ N: 2 ** 30 }, /but a damaged one/],
			[{ extra: 1 }, /but a damaged one/],
			[{ public: {} }, /but a damaged one/],
			[{ v: 2 }, /version 2: make a new one/],
			[{ v: 4 }, /made by a newer beectl/],
			[{ type: 'other' }, /f is not an example as beectl makes it/],
		] as const)
			expect(() => changed((json) => ({ ...json, ...change }))).to.throw(message);
		expect(() => parseSecretFile(TYPE, 'not json', 'f')).to.throw(/f is not an example/);
	});

	it('is plain only where no passphrase was wanted', async () => {
		const plain = secretFileText(TYPE, { name: 'bee' }, SECRET, await newProtection(undefined));
		const parsed = parseSecretFile(TYPE, plain, 'f');
		expect(parsed.isSealed).to.equal(false);
		expect((await parsed.open(() => expect.fail('nobody is asked'))).secret).to.deep.equal(SECRET);
	});
});
