/** Runs scripts, and tells where what our core does differs from what its model has done. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ScriptCluster } from './cluster.ts';
import { MembershipScript } from './memberships.ts';
import { QuorumScript } from './quorums.ts';
import { type Directive, parseScript } from './script.ts';

/** Scripts that others made are not part of the repository; they lie beside it, unless `BEEMESH_RAFT_SCRIPTS` says where. */
export const SCRIPTS_FOLDER =
	process.env['BEEMESH_RAFT_SCRIPTS'] ?? join(import.meta.dirname, '../../../shared/raft-scripts');

export interface Difference {
	readonly file: string;
	readonly line: number;
	readonly directive: string;
	readonly expected: string;
	readonly actual: string;
}

export interface ScriptsResult {
	readonly scripts: number;
	readonly directives: number;
	/** Directives whose output differs. */
	readonly differing: number;
	readonly first: Difference | null;
}

/** All `.txt` files in folders and their subfolders, in order. */
export function findScripts(folders: readonly string[]): string[] {
	const find = (path: string): string[] => {
		if (!statSync(path).isDirectory()) return path.endsWith('.txt') ? [path] : [];
		return readdirSync(path).flatMap((name) => find(join(path, name)));
	};
	return folders.flatMap(find).sort();
}

export function runScripts(files: readonly string[]): ScriptsResult {
	let directives = 0;
	const differences: Difference[] = [];
	for (const file of files) {
		const script = parseScript(readFileSync(file, 'utf8'));
		const interpreter = interpreterOf(script[0]);
		directives += script.length;
		for (const directive of script) {
			const expected = withoutLog(directive.expected);
			const actual = withoutLog(interpreter.run(directive));
			// A directive that printed nothing but log.
			if (actual === expected || (actual === 'ok' && expected === '')) continue;
			const { line, command, args } = directive;
			const words = args.map(({ key, values }) => (values.length === 0 ? key : `${key}=(${values.join(',')})`));
			differences.push({ file, line, directive: [command, ...words].join(' '), expected, actual });
		}
	}
	return { scripts: files.length, directives, differing: differences.length, first: differences[0] ?? null };
}

/** There are three languages; a script is of one. */
function interpreterOf(first: Directive | undefined): { run(directive: Directive): string } {
	switch (first?.command) {
		case 'committed':
		case 'vote':
			return new QuorumScript();
		case 'simple':
		case 'enter-joint':
		case 'leave-joint':
			return new MembershipScript();
		default:
			return new ScriptCluster();
	}
}

/** Level L1: lines of the library's log do not count. */
function withoutLog(text: string): string {
	return text
		.split('\n')
		.filter((line) => !/^\s*(DEBUG|INFO|WARN|ERROR) /.test(line))
		.join('\n')
		.trimEnd();
}
