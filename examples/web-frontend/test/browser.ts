/** A real headless Chromium for page tests. Locally its absence skips them, loudly; in CI it fails them. */
import { existsSync } from 'node:fs';
import type { Context } from 'mocha';
import { type Browser, chromium } from 'playwright-core';

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export async function launchBrowser(context: Context): Promise<Browser> {
	if (!existsSync(executablePath)) {
		const reason = `no Chromium at ${executablePath}: run .ci/install-chromium.sh, or set CHROMIUM`;
		if (process.env['CI'] === 'true') throw new Error(reason);
		console.log(`      SKIPPED: ${reason}`);
		context.skip();
	}
	// Playwright gives each launch a fresh profile, and removes it.
	return chromium.launch({
		executablePath,
		headless: true,
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
		],
	});
}
