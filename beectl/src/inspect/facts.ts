/** What a record's body says, for people (aligned lines) and for programs (DAG-JSON). */
import { keyIdOf } from '@beemesh/sdk/identity';
import { KEY_BYTES } from '@beemesh/sdk/wire';
import type { Field } from '../output/fields.ts';
import { counted, bytes as size, when } from '../output/human.ts';

const TIMES: ReadonlySet<string> = new Set(['nbf', 'exp', 'ts', 'createdMs', 'revokedMs', 'renewNonce']);

/** Names of fields that their spelling does not make plain. */
const NAMES: Readonly<Record<string, string>> = {
	nbf: 'Valid from',
	exp: 'Valid until',
	ts: 'Said',
	wid: 'Workload',
	seq: 'Number',
	prev: 'Before it',
	gen: 'Generation',
	caps: 'May',
	createdMs: 'Made',
	renewNonce: 'Renewed',
	sigKey: 'Signing key',
	kemKey: 'Sealing key',
	peerProof: 'Proof of peer key',
	keyringId: 'Secrets',
	serialMin: 'Renews from',
	serialMax: 'Renews to',
};

export function factsOf(body: object, nowMs: number): readonly Field[] {
	return Object.entries(body).map(([name, value]) => [titleOf(name), textOf(name, value, nowMs)]);
}

/** A key by its ID, as much of it as tells keys apart. */
export function keyText(keyId: Uint8Array): string {
	return `key ${Buffer.from(keyId).toString('hex').slice(0, 16)}`;
}

/** DAG-JSON: bytes as `{"/": {"bytes": base64}}`. */
export function plainOf(value: unknown): unknown {
	if (value instanceof Uint8Array) return { '/': { bytes: Buffer.from(value).toString('base64').replace(/=+$/, '') } };
	if (Array.isArray(value)) return value.map(plainOf);
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, plainOf(child)]));
}

function titleOf(name: string): string {
	const words = name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
	const spaced = words.replace(/ id$/, ' ID').replace(/ cid$/, ' CID');
	return NAMES[name] ?? spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function textOf(name: string, value: unknown, nowMs: number): string {
	if (value instanceof Uint8Array) return bytesText(value);
	if (typeof value === 'boolean') return value ? 'yes' : 'no';
	if (typeof value === 'number') return TIMES.has(name) ? when(value, nowMs) : numberText(name, value);
	if (Array.isArray(value)) return value.map((each) => textOf(name, each, nowMs)).join(', ');
	if (typeof value !== 'object' || value === null) return String(value ?? '');
	return Object.entries(value)
		.map(([key, child]) => {
			const text = textOf(key, child, nowMs);
			return `${key}=${typeof child === 'object' && child !== null && !Array.isArray(child) ? `(${text})` : text}`;
		})
		.join(' ');
}

function numberText(name: string, value: number): string {
	return name.endsWith('Bytes') ? size(value) : String(value);
}

function bytesText(value: Uint8Array): string {
	if (value.byteLength === KEY_BYTES.publicKey || value.byteLength === KEY_BYTES.kemPublicKey)
		return `${keyText(keyIdOf(value))} (${counted(value.byteLength, 'byte')})`;
	return value.byteLength <= 32 ? Buffer.from(value).toString('hex') : counted(value.byteLength, 'byte');
}
