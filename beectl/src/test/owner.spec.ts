import { chmod, readFile, stat } from 'node:fs/promises';
import { createKeyPair, decodeArmor, hkdf, openOwnerRoot, ownerIdOf } from '@beemesh/sdk/identity';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createOwnerKey, readOwnerKey } from '../owner/key-file.ts';
import { passphrasesFrom } from '../secrets/passphrase.ts';
import { createHome, type Home } from './folder.ts';

describe('the owner key', () => {
	let home: Home;
	let file: string;
	beforeEach(async () => {
		home = await createHome();
		file = home.at('deep', 'owner.key');
	});
	afterEach(() => home[Symbol.asyncDispose]());

	it('is made once, for its owner only, and is never replaced', async () => {
		const made = await home.beectl(['owner', 'create', '--no-passphrase', '--owner', file]);
		expect(made.code).to.equal(0);
		expect((await stat(file)).mode & 0o777).to.equal(0o600);
		expect((await stat(home.at('deep'))).mode & 0o777).to.equal(0o700);
		const text = await readFile(file, 'utf8');
		expect(JSON.parse(text)).to.include({ v: 2, type: 'beemesh-owner', kdf: 'none' });
		expect((await home.beectl('owner show', { env: { BEEMESH_OWNER: file } })).out).to.equal(made.out);
		const again = await home.beectl(['owner', 'create', '--no-passphrase', '--owner', file]);
		expect(again.code).to.equal(1);
		expect(again.err).to.contain('exists already and is left as it is');
		expect(await readFile(file, 'utf8')).to.equal(text);
	});

	it('is sealed under a passphrase that a person types twice, and shown without it', async () => {
		const made = await home.beectl(['owner', 'create', '--owner', file], {
			answers: ['correct horse', 'correct horse'],
		});
		expect(made.code, made.err).to.equal(0);
		expect(made.err).to.match(/^New passphrase for the owner key .*owner\.key: \nThe same again: \n/);
		const json = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
		expect(json).to.include({ kdf: 'scrypt', N: 131072, r: 8, p: 1 });
		expect(json).to.have.keys('v', 'type', 'public', 'kdf', 'N', 'r', 'p', 'salt', 'nonce', 'sealed');
		expect((await home.beectl(['owner', 'show', '--owner', file])).out).to.equal(made.out);
		const passphrases = (answer: string) => passphrasesFrom(undefined, async () => answer);
		const { signer } = await readOwnerKey(file, passphrases('correct horse'));
		expect(`${ownerIdOf(signer.publicKey)}\n`).to.equal(made.out);
		const wrong = await readOwnerKey(file, passphrases('correct house')).catch((error: Error) => error);
		expect(wrong).to.include({ code: 'unauthorized' });
		expect((wrong as Error).message)
			.to.contain('wrong passphrase for')
			.and.contain(file);
	});

	it('is not made with a passphrase that is short, or typed differently the second time', async () => {
		const short = await home.beectl(['owner', 'create', '--owner', file], { answers: ['1234567'] });
		expect(short.code).to.equal(2);
		expect(short.err).to.contain('7 characters are too few; take at least 8');
		const other = await home.beectl(['owner', 'create', '--owner', file], { answers: ['12345678', '12345679'] });
		expect(other.code).to.equal(2);
		expect(other.err).to.contain('the two passphrases differ; nothing was made');
		expect(await stat(file).catch(() => undefined)).to.equal(undefined);
	});

	it('names the three ways where nobody can be asked', async () => {
		const { code, err } = await home.beectl(['owner', 'create', '--owner', file]);
		expect(code).to.equal(1);
		expect(err).to.contain('--passphrase-file FILE').and.contain('--no-passphrase').and.contain('at a terminal');
	});

	it('is opened with a passphrase file that nobody else can read', async () => {
		const secret = await home.write('p', 'correct horse\n');
		const env = { BEEMESH_PASSPHRASE_FILE: secret };
		expect((await home.beectl(['owner', 'create', '--owner', file], { env })).code).to.equal(0);
		const tried = await home.beectl(['get', 'pods', '--owner', file, '--passphrase-file', secret]);
		expect(tried.err).to.match(/^error: no host answers at /);
		const wrong = await home.write('q', 'correct house\n');
		const refused = await home.beectl(['get', 'pods', '--owner', file, '--passphrase-file', wrong]);
		expect(refused.code).to.equal(1);
		expect(refused.err).to.equal(`error: wrong passphrase for ${file}, or the file has been changed\n`);
		await chmod(secret, 0o644);
		const open = await home.beectl(['get', 'pods', '--owner', file, '--passphrase-file', secret]);
		expect(open.err).to.equal(`error: ${secret} can be read by others; run \`chmod 600 ${secret}\`\n`);
	});

	it('is one signing key, one sealing key, and a secret derived for sessions', async () => {
		const nowMs = Date.now();
		const made = await createOwnerKey(file, undefined, nowMs);
		const { signer, kem, psk } = await readOwnerKey(file, passphrasesFrom(undefined, undefined));
		expect(signer.seed).to.deep.equal(made.signer.seed);
		expect(kem.seed).to.deep.equal(made.kem.seed);
		expect(psk).to.deep.equal(hkdf(signer.seed, 'owner-psk', 32));
	});

	it('gives others its public record, which is signed', async () => {
		await home.beectl(['owner', 'create', '--no-passphrase', '--owner', file]);
		const { out } = await home.beectl(['owner', 'export', '--owner', file]);
		const { body } = openOwnerRoot(decodeArmor('OWNER', out));
		expect(`${body.owner}\n`).to.equal((await home.beectl(['owner', 'show', '--owner', file])).out);
		expect((await home.beectl(['owner', 'export', '--owner', file, '-o', home.at('me.owner')])).out).to.equal('');
		expect(await readFile(home.at('me.owner'), 'utf8')).to.equal(out);
		const over = await home.beectl(['owner', 'export', '--owner', file, '-o', file]);
		expect(over.code).to.equal(1);
		expect(over.err).to.contain('exists already and is something else');
	});

	it('is refused when others can read it', async () => {
		await home.beectl(['owner', 'create', '--no-passphrase', '--owner', file]);
		await chmod(file, 0o640);
		const { code, err } = await home.beectl(['owner', 'show', '--owner', file]);
		expect(code).to.equal(1);
		expect(err).to.contain(`can be read by others (mode 640); run \`chmod 600 ${file}\``);
	});

	it('is refused in its first form, and when its parts belong to different owners', async () => {
		const seed = Buffer.alloc(32).toString('base64url');
		const old = await home.write('old.key', JSON.stringify({ v: 1, type: 'beemesh-owner', seed }));
		const outdated = await home.beectl(['owner', 'show', '--owner', old]);
		expect(outdated.code).to.equal(2);
		expect(outdated.err).to.contain('of version 1').and.contain('make a new one with `beectl owner create');
		await createOwnerKey(home.at('a'), undefined, 1);
		await createOwnerKey(home.at('b'), undefined, 1);
		const [a, b] = await Promise.all(['a', 'b'].map(async (name) => JSON.parse(await readFile(home.at(name), 'utf8'))));
		const mixed = await home.write('mixed', JSON.stringify({ ...a, secret: b.secret }));
		const refused = await home.beectl(['get', 'pods', '--owner', mixed]);
		expect(refused.code).to.equal(1);
		expect(refused.err).to.contain('its secret keys do not belong to its public record');
		const { publicKey } = createKeyPair();
		const renamed = await home.write(
			'renamed',
			JSON.stringify({ ...a, public: { ...a.public, owner: ownerIdOf(publicKey) } }),
		);
		expect((await home.beectl(['owner', 'show', '--owner', renamed])).err).to.contain('its owner ID is not that of');
	});

	it('is a file that can be made and read', async () => {
		const asFolder = await home.beectl(['owner', 'show', '--owner', home.path]);
		expect(asFolder.code).to.equal(2);
		expect(asFolder.err).to.equal(`error: ${home.path} is not a file; name the owner key with --owner\n`);
		const plain = await home.write('plain', '');
		const below = await home.beectl(['owner', 'create', '--no-passphrase', '--owner', `${plain}/below`]);
		expect(below.code).to.equal(1);
		expect(below.err).to.match(/^error: cannot use the owner key .*below: /);
	});

	it('is asked for by name when it is missing', async () => {
		const { code, err } = await home.beectl('get pods');
		expect(code).to.equal(3);
		expect(err).to.contain(
			`there is no owner key at ${home.at('.config/beemesh/owner.key')}; make one with \`beectl owner create\``,
		);
	});
});
