/** The page in a real browser, over the real server and a store in memory. */
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchBrowser } from './browser.ts';
import { type Frontend, startFrontend, threeReplicas } from './harness.ts';

describe('the page (headless Chromium)', function () {
	this.timeout(30_000);
	let browser: Browser | undefined;
	let frontend: Frontend;
	let page: Page;
	/** What went wrong in the browser; a refusal that a test provokes is expected. */
	let complaints: string[];

	before(async function () {
		browser = await launchBrowser(this);
	});
	after(async () => {
		await browser?.close();
	});
	beforeEach(async () => {
		frontend = await startFrontend();
		await openPage({});
	});
	afterEach(async () => {
		await page.context().close();
		await frontend.close();
		expect(complaints).to.deep.equal([]);
	});

	async function openPage(options: BrowserContextOptions): Promise<void> {
		if (browser === undefined) throw new Error('the browser is gone');
		const context = await browser.newContext(options);
		page = await context.newPage();
		page.setDefaultTimeout(10_000);
		complaints = [];
		page.on('pageerror', (error) => complaints.push(String(error)));
		page.on('console', (message) => {
			const expected = message.text().startsWith('Failed to load resource');
			if (message.type() === 'error' && !expected) complaints.push(message.text());
		});
		await page.goto(frontend.server.url);
		await page.locator('#connection[data-state=live]').waitFor();
	}

	async function reopened(options: BrowserContextOptions): Promise<void> {
		await page.context().close();
		await openPage(options);
	}

	const row = (key: string) => page.locator(`#keys [data-key="${key}"]`);
	const outcome = (text: string | RegExp) => page.locator('#outcome', { hasText: text }).waitFor();

	async function save(key: string, value: string): Promise<void> {
		await page.getByLabel('Key', { exact: true }).fill(key);
		await page.getByLabel('Value').fill(value);
		await page.getByRole('button', { name: 'Save' }).click();
	}

	it('saves a key that the store then has, and shows it', async () => {
		await save('greetings/hello', 'Grüezi 🐝');
		await outcome('Saved at revision 1');
		await row('greetings/hello').waitFor();
		const entry = await frontend.store.get('greetings/hello');
		expect(Buffer.from(entry?.value ?? []).toString()).to.equal('Grüezi 🐝');
	});

	it('shows changes of other clients as they happen', async () => {
		await page.locator('#keys-empty', { hasText: 'No keys yet' }).waitFor();
		await frontend.store.put('a', Buffer.from('one'));
		await row('a').getByText('one').waitFor();
		await frontend.store.put('a', Buffer.from('two'));
		await row('a').getByText('two').waitFor();
		await page.locator('#changes').getByText('two').waitFor();
		await frontend.store.delete('a');
		await row('a').waitFor({ state: 'detached' });
		await page.locator('#changes .change[data-type=delete]').waitFor();
		expect(await page.locator('#changes .change').count()).to.equal(3);
	});

	it('reads a key that somebody clicks, and filters by prefix', async () => {
		await frontend.store.put('x/1', Buffer.from('first'));
		await frontend.store.put('y/2', Buffer.from('second'));
		await row('y/2').click();
		await outcome('Read at revision 2');
		expect(await page.getByLabel('Value').inputValue()).to.equal('second');
		await page.getByRole('searchbox').fill('x/');
		await row('y/2').waitFor({ state: 'detached' });
		await row('x/1').waitFor();
		await frontend.store.put('y/3', Buffer.from('elsewhere'));
		await frontend.store.put('x/4', Buffer.from('here'));
		await row('x/4').waitFor();
		expect(await row('y/3').count()).to.equal(0);
	});

	it('does not overwrite what somebody else changed meanwhile, unless told to', async () => {
		await frontend.store.put('a', Buffer.from('mine'));
		await row('a').click();
		await outcome('Read at revision 1');
		await frontend.store.put('a', Buffer.from('theirs'));
		await page.getByLabel('Value').fill('mine again');
		await page.getByRole('button', { name: 'Save' }).click();
		await outcome(/somebody changed “a” meanwhile; it is at revision 2/);
		await page.getByLabel('Only if it is still at revision').uncheck();
		await page.getByRole('button', { name: 'Save' }).click();
		await outcome('Saved at revision 3');
	});

	it('deletes a key', async () => {
		await frontend.store.put('a', Buffer.from('x'));
		await row('a').click();
		await outcome('Read at revision 1');
		await page.getByRole('button', { name: 'Delete' }).click();
		await outcome('Deleted at revision 2');
		await row('a').waitFor({ state: 'detached' });
		await page.getByRole('button', { name: 'Read' }).click();
		await outcome('There is no key “a”.');
	});

	it('shows the replicas of both workloads, and who leads', async () => {
		const leader = page.locator('.cell[data-role=leader]');
		await leader.waitFor();
		expect(await page.locator('.cell').count()).to.equal(3);
		expect(await leader.getAttribute('data-name')).to.equal('kv-store-0');
		expect(await page.locator('#own-replicas .chip').count()).to.equal(2);
		frontend.replicas = threeReplicas(2).slice(1);
		await page.locator('.cell[data-role=leader][data-name=kv-store-2]').waitFor();
		// The lost one is missed, not forgotten.
		await page.locator('.cell[data-role=away][data-name=kv-store-0]').waitFor();
	});

	it('says plainly that there is no quorum, keeps what was typed, and recovers', async () => {
		frontend.store.failure = 'no_quorum';
		frontend.replicas = threeReplicas('none').slice(0, 1);
		await page.getByRole('alert').filter({ hasText: 'no leader with a majority' }).waitFor();
		await save('a', 'typed in bad times');
		await outcome(/no majority of its replicas right now/);
		expect(await page.getByLabel('Value').inputValue()).to.equal('typed in bad times');
		frontend.store.failure = undefined;
		frontend.replicas = threeReplicas(1);
		await page.getByRole('alert').waitFor({ state: 'hidden' });
		await page.getByRole('button', { name: 'Save' }).click();
		await outcome('Saved at revision 1');
	});

	it('says that an outcome is not known', async () => {
		frontend.store.failure = 'unknown_outcome';
		await save('a', 'x');
		await outcome('it may or may not have been done');
	});

	it('shows markup in keys and values as text', async () => {
		const evil = '<img src=x onerror=alert(1)>';
		await frontend.store.put(evil, Buffer.from(`<script>alert(2)</script>${evil}`));
		await page.locator('#keys').getByText(evil, { exact: true }).waitFor();
		expect(await page.locator('#keys img, #keys script, #changes img').count()).to.equal(0);
	});

	it('edits no bytes that are not text', async () => {
		await frontend.store.put('bin', Uint8Array.of(0xff, 0));
		await row('bin').getByText('(binary)').waitFor();
		await row('bin').click();
		await outcome('holds 2 bytes that are not text');
	});

	it('reconnects when its server comes back, and has missed nothing', async () => {
		await frontend.store.put('a', Buffer.from('before'));
		await row('a').waitFor();
		await frontend.server.drain(0);
		await page.locator('#connection[data-state=lost]').waitFor();
		await frontend.store.put('b', Buffer.from('while away'));
		await frontend.store.delete('a');
		await frontend.restart();
		await page.locator('#connection[data-state=live]').waitFor();
		await row('b').waitFor();
		await row('a').waitFor({ state: 'detached' });
	});

	it('fits a phone, in both colour schemes', async () => {
		await frontend.store.put(`long/${'k'.repeat(300)}`, Buffer.from('v'.repeat(400)));
		for (const colorScheme of ['light', 'dark'] as const) {
			await reopened({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme });
			await page.locator('.cell[data-role=leader]').waitFor();
			await page.locator('#keys .row').waitFor();
			const width = await page.evaluate('document.documentElement.scrollWidth');
			expect(width, `${colorScheme}: nothing wider than the screen`).to.equal(360);
		}
	});

	it('can be used with the keyboard alone', async () => {
		await frontend.store.put('a', Buffer.from('x'));
		await row('a').waitFor();
		await page.getByLabel('Key', { exact: true }).focus();
		await page.keyboard.type('typed');
		await page.keyboard.press('Tab');
		await page.keyboard.type('by hand');
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await outcome('Saved at revision 2');
		await page.getByRole('searchbox').focus();
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await outcome('Read at revision 1');
	});

	it('names every control, and runs nothing that its server did not send', async () => {
		const unnamed = await page.evaluate(
			"[...document.querySelectorAll('input, textarea, button')].filter((e) => !e.labels?.length && !e.textContent.trim()).length",
		);
		expect(unnamed).to.equal(0);
		const answer = await fetch(frontend.server.url);
		const policy = answer.headers.get('content-security-policy') ?? '';
		expect(policy).to.contain("default-src 'none'").and.contain("script-src 'self'").and.not.contain('unsafe');
		const html = await answer.text();
		expect(html).to.not.match(/<script(?![^>]*\bsrc=)|\son\w+=|style=/);
		expect(html).to.not.match(/(src|href)="https?:/);
	});
});
