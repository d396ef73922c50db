/** Starts an attacker's process, and tells it what to try. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { decodeRecord, encodeRecord } from '@beemesh/sdk/wire';
import type { ATTACKS } from './attacks.ts';

const MAIN = join(import.meta.dirname, 'attacker.ts');
const BYTES_MAX = 16 * 1024 * 1024;
type Attacks = typeof ATTACKS;

export interface Attacker {
	/** Resolves with what came of it; rejects when the attacker itself failed. One at a time. */
	try<A extends keyof Attacks>(attack: A, input: Parameters<Attacks[A]>[0]): Promise<Awaited<ReturnType<Attacks[A]>>>;
	stop(): Promise<void>;
}

export function startAttacker(): Attacker {
	const child = spawn(process.execPath, ['--conditions=source', MAIN], { stdio: ['pipe', 'pipe', 'inherit'] });
	const exited = once(child, 'exit');
	const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
	return {
		async try(attack, input) {
			child.stdin.write(`${Buffer.from(encodeRecord({ attack, input })).toString('base64')}\n`);
			const { value: line, done } = await lines.next();
			if (done) throw new Error(`the attacker ended during ${attack}`);
			const answer = decodeRecord(new Uint8Array(Buffer.from(line, 'base64')), BYTES_MAX) as {
				readonly result: never;
				readonly error?: string;
			};
			if (answer.error !== undefined) throw new Error(`the attacker failed at ${attack}: ${answer.error}`);
			return answer.result;
		},
		async stop() {
			child.stdin.end();
			await exited;
		},
	};
}
