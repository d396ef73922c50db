/**
 * The replicated state of the simulation: registers, and per client the last command with its answer, so that a
 * retried command is applied once (thesis §6.3).
 */
export interface Command {
	readonly client: number;
	/** Counts the commands of a client; a retry carries the same number. */
	readonly sequence: number;
	readonly op: 'put' | 'cas' | 'delete';
	readonly key: string;
	readonly value: string;
	readonly expect: string | null;
}

interface Session {
	readonly sequence: number;
	readonly answer: boolean;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeCommand(command: Command): Uint8Array {
	return encoder.encode(JSON.stringify(command));
}

export class Machine {
	readonly #registers: Map<string, string>;
	readonly #sessions: Map<number, Session>;

	constructor(from?: Machine) {
		this.#registers = new Map(from === undefined ? [] : from.#registers);
		this.#sessions = new Map(from === undefined ? [] : from.#sessions);
	}

	get(key: string): string | null {
		return this.#registers.get(key) ?? null;
	}

	/** True when the command took effect, now or the first time it came. */
	apply(data: Uint8Array): { readonly command: Command; readonly answer: boolean } {
		const command = JSON.parse(decoder.decode(data)) as Command;
		const session = this.#sessions.get(command.client);
		if (session !== undefined && session.sequence >= command.sequence) return { command, answer: session.answer };
		const answer = this.#execute(command);
		this.#sessions.set(command.client, { sequence: command.sequence, answer });
		return { command, answer };
	}

	#execute({ op, key, value, expect }: Command): boolean {
		if (op === 'cas' && this.get(key) !== expect) return false;
		if (op === 'delete') this.#registers.delete(key);
		else this.#registers.set(key, value);
		return true;
	}

	/** Equal for equal states: replicas that applied the same entries must agree on it. */
	digest(): string {
		const registers = [...this.#registers].sort(([a], [b]) => (a < b ? -1 : 1));
		const sessions = [...this.#sessions].sort(([a], [b]) => a - b);
		return JSON.stringify([registers, sessions.map(([client, { sequence, answer }]) => [client, sequence, answer])]);
	}
}
