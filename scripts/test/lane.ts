/** Some specs, one after the other, in this process. */
import Mocha from 'mocha';

export interface Counts {
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
}

export interface LaneOptions {
	/** Only tests whose full title has this in it. */
	readonly grep?: string | undefined;
	/** Whether the first failure ends it. */
	readonly bail: boolean;
}

/** Prints each test as it ends, and the failures after the last. */
export async function runLane(files: readonly string[], { grep, bail }: LaneOptions): Promise<Counts> {
	const mocha = new Mocha({ reporter: 'spec', timeout: 10_000, bail, checkLeaks: false });
	// Mocha's check mark is coloured in CI even where no terminal is.
	if (!process.stdout.isTTY) Mocha.reporters.Base.symbols.ok = '✔';
	if (grep !== undefined) mocha.grep(grep);
	for (const file of files) mocha.addFile(file);
	await mocha.loadFilesAsync();
	let [passed, failed, skipped] = [0, 0, 0];
	await new Promise<void>((resolve) => {
		const runner = mocha.run(() => resolve());
		runner.on('pass', () => passed++);
		runner.on('fail', () => failed++);
		runner.on('pending', () => skipped++);
	});
	return { passed, failed, skipped };
}
