/**
 * Test vectors that others made. They are not part of the repository: their folder comes from `BEEMESH_VECTORS`, or
 * lies beside the checkout as `shared/vectors`. Without it their tests are skipped, which CI does not accept.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'mocha';
import type { PqBackend } from '../backend.ts';
import { javascriptBackend, nativeBackend } from '../index.ts';

const folder =
	process.env.BEEMESH_VECTORS ?? fileURLToPath(new URL('../../../../../../shared/vectors', import.meta.url));

export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function readText(file: string): string {
	return readFileSync(join(folder, file), 'utf8');
}

/** The tests of a Wycheproof file, each beside what its group says. */
export function wycheproof<Test, Group = unknown>(file: string): { test: Test & Verdict; group: Group }[] {
	const parsed: { testGroups: (Group & { tests: (Test & Verdict)[] })[] } = JSON.parse(readText(file));
	return parsed.testGroups.flatMap((group) => group.tests.map((test) => ({ test, group })));
}

export interface Verdict {
	readonly tcId: number;
	readonly result: 'valid' | 'invalid' | 'acceptable';
	readonly flags: readonly string[];
}

/** A test that needs the vectors. */
export function itWithVectors(title: string, body: () => void): void {
	it(title, function () {
		if (!existsSync(folder)) {
			const missing = `no vectors at ${folder}; set BEEMESH_VECTORS`;
			if (process.env.CI) throw new Error(missing);
			console.log(`      skipped: ${missing}`);
			this.skip();
		}
		this.timeout(60_000);
		body();
	});
}

/** Both backends by name; a Node without the native one has only the other, which CI does not accept. */
export function backends(): PqBackend[] {
	if (nativeBackend !== undefined) return [nativeBackend, javascriptBackend];
	if (process.env.CI) throw new Error(`Node ${process.version} has no native ML-DSA-65 and ML-KEM-768`);
	console.log(`      native backend skipped: Node ${process.version} has no ML-DSA-65 and ML-KEM-768`);
	return [javascriptBackend];
}
