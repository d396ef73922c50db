/**
 * Armour: bytes as text that survives a terminal, a chat and a printer, between lines that say what it is. Nothing in it
 * is trusted for having the right label; what it holds is verified by whoever opens it.
 */
import { MeshError } from '../errors.ts';

/** What people carry between machines. */
export const ARMOR_KINDS = ['INVITE', 'REQUEST', 'BUNDLE', 'OWNER'] as const;
export type ArmorKind = (typeof ARMOR_KINDS)[number];

/** Longer texts are refused before they are looked at. */
export const ARMOR_TEXT_MAX = 512 * 1024;
const LINE_CHARS = 64;
const HEAD = /^-----BEGIN BEEMESH ([A-Z]+)-----$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

export function encodeArmor(kind: ArmorKind, bytes: Uint8Array): string {
	const lines =
		Buffer.from(bytes)
			.toString('base64')
			.match(new RegExp(`.{1,${LINE_CHARS}}`, 'g')) ?? [];
	return [begin(kind), ...lines, end(kind), ''].join('\n');
}

/** Throws `invalid_input` that says what it is instead. Blanks around lines are forgiven, nothing else is. */
export function decodeArmor(kind: ArmorKind, text: string): Uint8Array {
	if (text.length > ARMOR_TEXT_MAX)
		throw new MeshError('invalid_input', `it has ${text.length} characters; the limit is ${ARMOR_TEXT_MAX}`);
	const found = armorKindOf(text);
	if (found === undefined)
		throw new MeshError('invalid_input', `it does not begin with the line ${begin(kind)}; take the whole text`);
	if (found !== kind) throw new MeshError('invalid_input', `it is ${NAMES[found]}, not ${NAMES[kind]}`);
	const lines = text
		.trim()
		.split('\n')
		.map((line) => line.trim());
	if (lines.at(-1) !== end(kind))
		throw new MeshError('invalid_input', `it does not end with the line ${end(kind)}; take the whole text`);
	const base64 = lines.slice(1, -1).join('');
	const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
	// One text per content: what base64 decoders forgive is refused.
	if (!BASE64.test(base64) || Buffer.from(bytes).toString('base64') !== base64)
		throw new MeshError('invalid_input', 'the lines between its first and last are not base64');
	return bytes;
}

/** What a text says it is, by its first line. */
export function armorKindOf(text: string): ArmorKind | undefined {
	const [first = ''] = text.slice(0, 1024).trimStart().split('\n', 1);
	const label = HEAD.exec(first.trim())?.[1];
	return ARMOR_KINDS.find((kind) => kind === label);
}

const NAMES: Readonly<Record<ArmorKind, string>> = {
	INVITE: 'an invitation to a mesh',
	REQUEST: "a machine's request for enrolment",
	BUNDLE: "a machine's sealed bundle",
	OWNER: "an owner's public record",
};

function begin(kind: ArmorKind): string {
	return `-----BEGIN BEEMESH ${kind}-----`;
}

function end(kind: ArmorKind): string {
	return `-----END BEEMESH ${kind}-----`;
}
