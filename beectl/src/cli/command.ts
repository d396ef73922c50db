/** What a verb is: its words for `--help`, its options, and what it does. */
import type { HostClient } from '../host/client.ts';
import type { Terminal } from '../output/terminal.ts';
import type { Owner } from '../owner/owner.ts';
import type { Passphrases } from '../secrets/passphrase.ts';
import type { Input, OptionSpecs } from './input.ts';

export interface Command {
	/** `get`, or `mesh init` in a group. */
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

/** Commands under one word. */
export interface CommandGroup {
	readonly name: string;
	readonly summary: string;
	readonly notes?: string;
	readonly commands: readonly Command[];
	readonly examples: Command['examples'];
}

export interface Files {
	readonly owner: string;
	/** Of `beectl mesh init`. */
	readonly mesh: string;
	/** The mesh met before, next to the owner key. */
	readonly knownMesh: string;
	/** Where the user names the mesh: an invitation, or a genesis. */
	readonly genesis: string | undefined;
}

/** What a command may touch. Made once per invocation. */
export interface Cli {
	readonly out: Terminal;
	readonly err: Terminal;
	readonly stdin: AsyncIterable<Uint8Array | string>;
	/** Aborted by Ctrl-C. */
	readonly signal: AbortSignal;
	readonly files: Files;
	readonly socket: string;
	readonly passphrases: Passphrases;
	nowMs(): number;
	/**
	 * The entry host, in the owner's name, or for what is no owner's affair as nobody in particular. Throws `unavailable`
	 * that says how to start a host, and `unauthorized` for one that is not of the mesh known here.
	 */
	connect(as?: 'owner' | 'anybody'): Promise<HostClient>;
	/** Throws when there is no key, when others can read it, or without its passphrase. */
	owner(): Promise<Owner>;
}
