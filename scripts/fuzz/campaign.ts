/** What `npm run fuzz` asks of a campaign. To add one: a folder beside this file and a line in scripts/fuzz.ts. */

export interface Campaign {
	/** Its options, one a line, for the usage text. */
	readonly usage: string;
	/** Runs to the end. Progress, seed and findings go to stderr; throws `UsageError` for arguments it does not know. */
	run(args: readonly string[]): Promise<Outcome>;
}

export interface Outcome {
	readonly passed: boolean;
	/** Becomes the one line of JSON on stdout. */
	readonly summary: Readonly<Record<string, unknown>>;
}

export class UsageError extends Error {}

/** A whole number of at least `min`, or a UsageError that names the option. */
export function wholeNumber(name: string, text: string, min: number): number {
	const value = Number(text);
	if (text !== '' && Number.isSafeInteger(value) && value >= min) return value;
	throw new UsageError(`--${name} must be a whole number of at least ${min}, got "${text}"`);
}
