/** Standard Schema validation at both ends of a call. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../../errors.ts';

const ISSUES_MAX = 16;

/** The validated value, at once where the schema is synchronous (the usual case, and the fast one). */
export function validate(
	schema: StandardSchemaV1,
	value: unknown,
	code: 'invalid_input' | 'invalid_output',
	what: string,
): unknown | Promise<unknown> {
	const result = schema['~standard'].validate(value);
	return result instanceof Promise ? result.then((r) => settle(r, code, what)) : settle(result, code, what);
}

function settle(
	result: StandardSchemaV1.Result<unknown>,
	code: 'invalid_input' | 'invalid_output',
	what: string,
): unknown {
	if (!result.issues) return result.value;
	const issues = result.issues.slice(0, ISSUES_MAX).map(({ message, path }) => ({
		path: (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
		message,
	}));
	const first = issues[0];
	const where = first === undefined ? '' : `: ${first.path === '' ? '' : `${first.path}: `}${first.message}`;
	throw new MeshError(code, `${what} does not fit its schema${where}`, { details: { issues } });
}
