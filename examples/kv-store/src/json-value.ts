/** Bytes inside JSON: as the text that they are, or in base64, and then the answer says so. */
export interface JsonValue {
	readonly value: string;
	readonly encoding?: 'base64';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function jsonValue(bytes: Uint8Array): JsonValue {
	try {
		return { value: utf8.decode(bytes) };
	} catch {
		return { value: Buffer.from(bytes).toString('base64'), encoding: 'base64' };
	}
}
