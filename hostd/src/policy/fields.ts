/**
 * Words in which the shapes of pods and policy files are written: an object has exactly the fields that are listed, each
 * of its type, and what comes out is built anew from those alone. Pure.
 */
import * as v from 'valibot';

/** Names that mean an object's own machinery; as keys of data they are somebody's try. */
const MACHINERY = ['__proto__', 'constructor', 'prototype'];

/** Not an array, nothing inherited: what a decoder hid in a prototype would be read, but not listed. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype === null || prototype === Object.prototype;
}

/** An object with these fields and no other, spelled as here: Podman's decoder would also take `HostNetwork`. */
export function fields<const E extends v.ObjectEntries>(what: string, entries: E) {
	const known = Object.keys(entries);
	return v.pipe(
		v.custom<object>(isPlain, `${what} must be an object`),
		v.strictObject(entries, (issue) => {
			if (issue.expected !== 'never') return 'is required';
			const near = known.find((name) => name.toLowerCase() === issue.input?.toString().toLowerCase());
			return near === undefined
				? `${what} has no such field here; known are ${known.join(', ')}`
				: `${what} has no such field; it is spelled ${near}`;
		}),
	);
}

export const maybe = v.exactOptional;

export function text(max = 4096) {
	return v.pipe(
		v.string('must be a text'),
		v.maxLength(max, `must not be longer than ${max} characters`),
		v.check((value) => !value.includes('\0'), 'must not contain NUL'),
	);
}

export const flag = v.boolean('must be true or false');

export function whole(min: number, max: number) {
	return v.pipe(
		v.number('must be a number'),
		v.check(
			(value) => Number.isSafeInteger(value) && value >= min && value <= max,
			`must be a whole number from ${min} to ${max}`,
		),
	);
}

export function list<const S extends v.GenericSchema>(item: S, max = 256) {
	return v.pipe(v.array(item, 'must be a list'), v.maxLength(max, `must not have more than ${max} entries`));
}

export function oneOf<const O extends readonly string[]>(...words: O) {
	return v.picklist(words, `must be one of ${words.map((word) => `"${word}"`).join(', ')}`);
}

/** Texts by name. */
export function texts<const K extends v.GenericSchema<string, string>>(key: K, max = 32_768) {
	return v.pipe(
		v.custom<Readonly<Record<string, unknown>>>(isPlain, 'must be an object'),
		v.check(
			(value) => Object.keys(value).every((name) => !MACHINERY.includes(name)),
			`must not have the keys ${MACHINERY.join(', ')}`,
		),
		v.record(key, text(max)),
	);
}

/** `spec.containers[0].image`, and `metadata.annotations['a.b/c']` where a key is no plain word. */
export function pathOf(issue: v.BaseIssue<unknown>, root: string): string {
	return (issue.path ?? []).reduce((path, { key }) => {
		if (typeof key === 'number') return `${path}[${key}]`;
		if (!/^\w+$/.test(String(key))) return `${path}['${String(key)}']`;
		return path === '' ? String(key) : `${path}.${String(key)}`;
	}, root);
}
