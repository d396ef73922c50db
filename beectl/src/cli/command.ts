/** What a verb is: its words for `--help`, its options, and what it does. */
import type { KeyPair } from '@beemesh/sdk/identity';
import type { HostClient } from '../host/client.ts';
import type { Terminal } from '../output/terminal.ts';
import type { Input, OptionSpecs } from './input.ts';

export interface Command {
	readonly name: string;
	readonly summary: string;
	/** Without the leading `beectl`. */
	readonly usage: readonly string[];
	readonly options: OptionSpecs;
	/** A command line without the leading `beectl`, and what it does. */
	readonly examples: readonly (readonly [line: string, does: string])[];
	readonly notes?: string;
	run(input: Input, cli: Cli): Promise<void>;
}

/** What a command may touch. Made once per invocation. */
export interface Cli {
	readonly out: Terminal;
	readonly err: Terminal;
	readonly stdin: AsyncIterable<Uint8Array | string>;
	/** Aborted by Ctrl-C. */
	readonly signal: AbortSignal;
	readonly ownerFile: string;
	readonly socket: string;
	nowMs(): number;
	/** Throws `unavailable` that says how to start a host. */
	connect(): Promise<HostClient>;
	/** Throws when there is no key, or when others can read it. */
	owner(): Promise<KeyPair>;
}
