/** From whatever somebody has in hand to the bytes that it means: armour, base64, a JSON file of beectl, or DAG-CBOR. */
import { type ArmorKind, armorKindOf, decodeArmor } from '@beemesh/sdk/identity';

export type Material =
	| { readonly form: 'armor'; readonly kind: ArmorKind; readonly text: string; readonly bytes: Uint8Array }
	| { readonly form: 'json'; readonly text: string }
	| { readonly form: 'bytes'; readonly bytes: Uint8Array };

export function materialOf(bytes: Uint8Array): Material {
	// What is no text has bytes that latin1 keeps outside of every pattern below.
	const text = Buffer.from(bytes).toString('latin1').trim();
	const kind = armorKindOf(text);
	if (kind !== undefined) return { form: 'armor', kind, text, bytes: decodeArmor(kind, text) };
	if (text.startsWith('{')) return { form: 'json', text: Buffer.from(bytes).toString('utf8') };
	if (/^[A-Za-z0-9+/_-]{8}[A-Za-z0-9+/_\s-]*={0,2}$/.test(text))
		return { form: 'bytes', bytes: new Uint8Array(Buffer.from(text, 'base64')) };
	return { form: 'bytes', bytes };
}
