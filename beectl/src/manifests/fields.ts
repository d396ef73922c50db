/**
 * Words in which the manifest schemas are written. A field is served, `ignored` (harmless: a warning says why) or
 * `refused` (Kubernetes knows it, we do not do it yet). A field that nobody listed is unknown, as in Kubernetes'
 * strict decoding. Issues of all three kinds come out of one pass and are told apart by `expected`.
 */
import * as v from 'valibot';

/** `expected` of an issue that is a warning. */
export const IGNORED = 'beectl:ignored';
/** `expected` of an issue about an unknown field starts with this; the field names that are known follow. */
export const UNKNOWN = 'beectl:unknown ';

type Entries = v.ObjectEntries;

/** An object with exactly these fields. */
export function object<const E extends Entries>(entries: E) {
	const known = UNKNOWN + Object.keys(entries).join(' ');
	const rest = v.pipe(
		v.unknown(),
		v.rawCheck(({ addIssue }) => addIssue({ expected: known, message: 'unknown field' })),
	);
	return v.objectWithRest(entries, rest, wrongType('an object'));
}

/** May be absent. Null counts as absent everywhere, as in Kubernetes: nulls are taken out before validation. */
export const maybe = v.exactOptional;

/** Known, harmless, not done: accepted with a warning, and left out of what is sent. */
export function ignored(why: string) {
	return maybe(
		v.pipe(
			v.unknown(),
			v.transform((): undefined => undefined),
			v.rawCheck(({ addIssue }) => addIssue({ expected: IGNORED, message: `ignored: ${why}` })),
		),
	);
}

/** Known and harmless; not worth a word. */
export const unused = maybe(
	v.pipe(
		v.unknown(),
		v.transform((): undefined => undefined),
	),
);

/** Known, but not done by this version. */
export function refused(why = 'not served by this version') {
	return maybe(v.pipe(v.custom<never>(() => false, why)));
}

/** Known; only this value of it, which changes nothing, is accepted. */
export function onlyValue(
	value: string | number | boolean,
	why = `only ${JSON.stringify(value)} is served by this version`,
) {
	return maybe(
		v.pipe(
			v.literal(value, why),
			v.transform((): undefined => undefined),
		),
	);
}

export function text(max = 4096) {
	return v.pipe(v.string(wrongType('a string')), v.maxLength(max, `longer than ${max} characters`));
}

export function filled(max = 4096) {
	return v.pipe(text(max), v.minLength(1, 'must not be empty'));
}

export function int(min: number, max: number) {
	return v.pipe(
		v.number(wrongType('an integer')),
		v.check(
			(value) => Number.isInteger(value) && value >= min && value <= max,
			`must be an integer from ${min} to ${max}`,
		),
	);
}

export const flag = v.boolean(wrongType('true or false'));

export function list<const S extends v.GenericSchema>(item: S, max: number) {
	return v.pipe(v.array(item, wrongType('a list')), v.maxLength(max, `more than ${max} entries`));
}

export function oneOf<const O extends readonly string[]>(...options: O) {
	return v.picklist(options, (issue) => `must be one of ${options.join(', ')}, not ${issue.received}`);
}

/** DNS label (RFC 1123), as Kubernetes wants most names. */
export const dnsLabel = v.pipe(
	filled(63),
	v.regex(
		/^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$/,
		"must consist of lower-case letters, digits and '-', and start and end with a letter or digit",
	),
);

const QUALIFIED =
	/^(?:[a-z0-9]([-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const qualifiedName = v.pipe(
	v.string(),
	v.maxLength(317, 'name too long'),
	v.regex(QUALIFIED, 'not a valid label name'),
);

export const labels = v.record(
	qualifiedName,
	v.pipe(
		v.string(wrongType('a string')),
		v.maxLength(63, 'longer than 63 characters'),
		v.regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/, 'not a valid label value'),
	),
	wrongType('an object'),
);

export const annotations = v.record(qualifiedName, v.string(wrongType('a string')), wrongType('an object'));

/** A port's number, or the name of a container port. */
export const portReference = v.union(
	[int(1, 65535), v.pipe(v.string(), v.regex(/^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/))],
	'must be a port number (1 to 65535) or the name of a container port',
);

/** A list or map as YAML text finds it: says what was found, and hints at quotes where that is the cause. */
function wrongType(what: string): (issue: v.BaseIssue<unknown>) => string {
	return ({ received }) => {
		if (received === 'undefined') return 'required';
		const hint = what === 'a string' && /^(?:[0-9.-]+|true|false)$/.test(received) ? ' (put it in quotes)' : '';
		return `must be ${what}, not ${received === 'Object' ? 'an object' : received === 'Array' ? 'a list' : received}${hint}`;
	};
}
