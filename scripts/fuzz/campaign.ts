/** What `npm run fuzz` asks of a campaign. To add one: a folder beside this file and a line in scripts/fuzz.ts. */

export interface Campaign {
	/** Its options, one a line, for the usage text. */
	readonly usage: string;
	/**
	 * Runs to the end, or until it is interrupted. Progress, seed and findings go to stderr; throws `UsageError` for
	 * arguments it does not know.
	 */
	run(args: readonly string[], signal: AbortSignal): Promise<Outcome>;
}

export interface Outcome {
	readonly passed: boolean;
	/** Becomes the one line of JSON on stdout. */
	readonly summary: Readonly<Record<string, unknown>>;
}
