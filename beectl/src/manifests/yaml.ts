/** YAML text to plain documents, within limits: no aliases, no duplicate keys, no deep nesting, no hostile names. */
import { type Document, isAlias, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml';

export const YAML_LIMITS = { bytesMax: 1024 * 1024, documentsMax: 64, depthMax: 64 } as const;

export interface YamlDocument {
	/** From 1, in the order of the file. */
	readonly number: number;
	readonly value: unknown;
	/** Why this document cannot be used; then `value` is undefined. */
	readonly errors: readonly string[];
}

const TOO_DEEP = `nested deeper than ${YAML_LIMITS.depthMax}`;
const HOSTILE = new Set(['__proto__', 'constructor', 'prototype']);

/** Documents of one file. Empty ones are left out, but counted. */
export function parseYaml(text: string): readonly YamlDocument[] {
	const refuse = (error: string): readonly YamlDocument[] => [{ number: 1, value: undefined, errors: [error] }];
	if (Buffer.byteLength(text) > YAML_LIMITS.bytesMax) return refuse(`larger than ${YAML_LIMITS.bytesMax} bytes`);
	const lines = new LineCounter();
	const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
	if ('empty' in parsed) return [];
	const documents: readonly Document[] = parsed;
	if (documents.length > YAML_LIMITS.documentsMax) {
		return refuse(`has ${documents.length} documents, the limit is ${YAML_LIMITS.documentsMax}`);
	}
	const at = (offset: number) => {
		const { line, col } = lines.linePos(offset);
		return `line ${line}, column ${col}`;
	};
	return documents.flatMap((document, index): readonly YamlDocument[] => {
		// A tag that YAML does not know is a warning of the parser, but would change what the author meant.
		const errors = [...document.errors, ...document.warnings]
			.slice(0, 1)
			.map(({ message, pos }) => `${at(pos[0])}: ${/call stack/.test(message) ? TOO_DEEP : message}`);
		if (errors.length === 0) {
			visit(document, (key, node, path) => {
				const where = () => at((node as { range?: [number, number, number] } | null)?.range?.[0] ?? 0);
				if (isAlias(node)) errors.push(`${where()}: aliases (*${node.source}) are not accepted`);
				else if (path.length > YAML_LIMITS.depthMax * 2) errors.push(`${where()}: ${TOO_DEEP}`);
				else if (key === 'key' && isScalar(node) && HOSTILE.has(String(node.value)))
					errors.push(`${where()}: "${node.value}" is not accepted as a name`);
				else if (key === 'key' && !isScalar(node)) errors.push(`${where()}: a name must be a plain word`);
				return errors.length > 0 ? visit.BREAK : undefined;
			});
		}
		if (errors.length > 0) return [{ number: index + 1, value: undefined, errors }];
		const value: unknown = document.toJS({ maxAliasCount: 0 });
		return value === null || value === undefined ? [] : [{ number: index + 1, value, errors }];
	});
}
