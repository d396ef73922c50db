/**
 * The kinds of cases, and how often each comes. A case is one comparison of one operation: both backends are given the
 * same input, or what one made is given to the other, and their outcomes must be the same (and right, where it is
 * known what is right). Inputs replay from seed and case number, except for the randomness that native signing and
 * encapsulation bring themselves: a finding therefore carries every byte that went in.
 */
import { isMeshError } from '../../../sdk/src/errors.ts';
import {
	type DerandomizedBackend,
	ML_DSA_65,
	ML_KEM_768,
	type PqBackend,
} from '../../../sdk/src/identity/suite/backend.ts';
import { createSuite, SIZES } from '../../../sdk/src/identity/suite/index.ts';
import type { CaseRandom } from '../random.ts';
import { alterMlDsaSignature, alterMlKemCiphertext, alterMlKemKey, flipBit, resize } from './mutate.ts';

/** Two outcomes to compare, with the right one where it is known, and the inputs for a report. */
export interface Comparison {
	readonly native: string;
	readonly javascript: string;
	readonly expected?: string;
	readonly inputs: Readonly<Record<string, Uint8Array>>;
}

export interface Backends {
	readonly native: PqBackend;
	readonly javascript: DerandomizedBackend;
}

type Side = 'native' | 'javascript';
type Kind = (random: CaseRandom, backends: Backends) => Comparison;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What an operation gave, or how it refused. An error that is not a refusal differs from everything. */
function outcome(side: string, operation: () => Uint8Array | boolean): string {
	try {
		const result = operation();
		return typeof result === 'boolean' ? `${result}` : hex(result);
	} catch (error) {
		return isMeshError(error) ? error.code : `${side} threw ${error instanceof Error ? error.stack : error}`;
	}
}

function both(operation: (side: Side) => Uint8Array | boolean): Pick<Comparison, 'native' | 'javascript'> {
	return {
		native: outcome('native', () => operation('native')),
		javascript: outcome('javascript', () => operation('javascript')),
	};
}

const someMessage = (random: CaseRandom): Uint8Array => random.bytes(random.below(random.chance(10) ? 4096 : 256));
const someContext = (random: CaseRandom): Uint8Array => random.bytes(random.chance(30) ? 0 : random.below(256));
const otherThan = (side: Side) => (side === 'native' ? 'javascript' : 'native');

const mlDsaKeygen: Kind = (random, backends) => {
	const seed = random.bytes(ML_DSA_65.seed);
	return { ...both((side) => backends[side].mlDsaKey(seed).publicKey), inputs: { seed } };
};

const mlDsaNativeSigns: Kind = (random, { native, javascript }) => {
	const inputs = { seed: random.bytes(ML_DSA_65.seed), message: someMessage(random), context: someContext(random) };
	const key = native.mlDsaKey(inputs.seed);
	const signature = key.sign(inputs.message, inputs.context);
	const verdict = outcome('javascript', () => {
		return javascript.mlDsaVerifier(key.publicKey)?.verify(inputs.message, signature, inputs.context) ?? false;
	});
	return { native: 'true', javascript: verdict, inputs: { ...inputs, signature } };
};

const mlDsaJavascriptSigns: Kind = (random, { native, javascript }) => {
	const inputs = { seed: random.bytes(ML_DSA_65.seed), message: someMessage(random), context: someContext(random) };
	const signature = javascript.mlDsaSignWith(inputs.seed, inputs.message, inputs.context, random.bytes(32));
	const { publicKey } = native.mlDsaKey(inputs.seed);
	const verdict = outcome('native', () => {
		return native.mlDsaVerifier(publicKey)?.verify(inputs.message, signature, inputs.context) ?? false;
	});
	return { native: verdict, javascript: 'true', inputs: { ...inputs, signature } };
};

const mlDsaAltered: Kind = (random, backends) => {
	const key = backends.native.mlDsaKey(random.bytes(ML_DSA_65.seed));
	const inputs = { publicKey: key.publicKey, message: someMessage(random), context: someContext(random) };
	const signed = { ...inputs, signature: key.sign(inputs.message, inputs.context) };
	switch (random.below(10)) {
		case 0:
			signed.publicKey = random.chance(20) ? resize(random, signed.publicKey) : flipBit(random, signed.publicKey);
			break;
		case 1:
			signed.message = resize(random, signed.message);
			break;
		case 2:
			signed.context = random.chance(20) ? random.bytes(256) : resize(random, signed.context);
			break;
		default:
			signed.signature = alterMlDsaSignature(random, signed.signature);
	}
	const { publicKey, message, signature, context } = signed;
	return {
		...both((side) => backends[side].mlDsaVerifier(publicKey)?.verify(message, signature, context) ?? false),
		inputs: signed,
	};
};

const mlKemKeygen: Kind = (random, backends) => {
	const seed = random.bytes(ML_KEM_768.seed);
	return { ...both((side) => backends[side].mlKemKey(seed).publicKey), inputs: { seed } };
};

const mlKemNativeEncapsulates: Kind = (random, { native, javascript }) => {
	const seed = random.bytes(ML_KEM_768.seed);
	const key = javascript.mlKemKey(seed);
	const { ciphertext, sharedSecret } = native.mlKemEncapsulate(key.publicKey);
	const decapsulated = outcome('javascript', () => key.decapsulate(ciphertext));
	return { native: hex(sharedSecret), javascript: decapsulated, inputs: { seed, ciphertext } };
};

const mlKemJavascriptEncapsulates: Kind = (random, { native, javascript }) => {
	const seed = random.bytes(ML_KEM_768.seed);
	const key = native.mlKemKey(seed);
	const { ciphertext, sharedSecret } = javascript.mlKemEncapsulateWith(key.publicKey, random.bytes(ML_KEM_768.coins));
	const decapsulated = outcome('native', () => key.decapsulate(ciphertext));
	return { native: decapsulated, javascript: hex(sharedSecret), inputs: { seed, ciphertext } };
};

const mlKemRejects: Kind = (random, backends) => {
	const seed = random.bytes(ML_KEM_768.seed);
	const keys = { native: backends.native.mlKemKey(seed), javascript: backends.javascript.mlKemKey(seed) };
	const ciphertext = alterMlKemCiphertext(random, backends.native.mlKemEncapsulate(keys.native.publicKey).ciphertext);
	return { ...both((side) => keys[side].decapsulate(ciphertext)), inputs: { seed, ciphertext } };
};

const mlKemMalformedKey: Kind = (random, backends) => {
	const whole = backends.native.mlKemKey(random.bytes(ML_KEM_768.seed)).publicKey;
	const publicKey = alterMlKemKey(random, whole);
	return {
		...both((side) => backends[side].mlKemEncapsulate(publicKey).ciphertext.byteLength > 0),
		inputs: { publicKey },
	};
};

/** Each case starts with empty memories of parsed keys; half of them verify the unaltered signature first. */
const compositeVerify: Kind = (random, backends) => {
	const suites = { native: createSuite(backends.native), javascript: createSuite(backends.javascript) };
	const seed = random.bytes(SIZES.seed);
	const key = suites.native.createSigningKey(seed);
	const inputs = { publicKey: key.publicKey, message: someMessage(random), context: someContext(random) };
	const signed = { ...inputs, signature: key.sign(inputs.message, inputs.context) };
	if (random.chance(50)) suites.native.verify(signed.publicKey, signed.message, signed.signature, signed.context);
	const alteration = random.below(8);
	if (alteration === 0) signed.publicKey = flipBit(random, signed.publicKey);
	else if (alteration === 1) signed.message = resize(random, signed.message);
	else if (alteration === 2) signed.context = resize(random, signed.context);
	else if (alteration === 3) signed.signature = flipBit(random, signed.signature, ML_DSA_65.signature);
	else if (alteration === 4) signed.signature = resize(random, signed.signature);
	else if (alteration < 7) {
		signed.signature.set(
			alterMlDsaSignature(random, signed.signature.slice(0, ML_DSA_65.signature)).subarray(0, ML_DSA_65.signature),
		);
	}
	const { publicKey, message, signature, context } = signed;
	return {
		...both((side) => suites[side].verify(publicKey, message, signature, context)),
		...(alteration === 7 ? { expected: 'true' } : {}),
		inputs: { seed, ...signed },
	};
};

const xWing: Kind = (random, backends) => {
	const suites = { native: createSuite(backends.native), javascript: createSuite(backends.javascript) };
	const seed = random.bytes(SIZES.kemSeed);
	const keys = { native: suites.native.createKemKey(seed), javascript: suites.javascript.createKemKey(seed) };
	const sender = random.pick<Side>(['native', 'javascript']);
	let { ciphertext, sharedSecret } = suites[sender].encapsulate(keys[otherThan(sender)].publicKey);
	const isAltered = random.chance(60);
	if (isAltered) ciphertext = random.chance(20) ? resize(random, ciphertext) : flipBit(random, ciphertext);
	return {
		...both((side) => keys[side].decapsulate(ciphertext)),
		...(isAltered ? {} : { expected: hex(sharedSecret) }),
		inputs: { seed, ciphertext },
	};
};

const hpke: Kind = (random, backends) => {
	const suites = { native: createSuite(backends.native), javascript: createSuite(backends.javascript) };
	const seed = random.bytes(SIZES.kemSeed);
	const keys = { native: suites.native.createKemKey(seed), javascript: suites.javascript.createKemKey(seed) };
	const [info, aad, plaintext] = [someContext(random), someContext(random), someMessage(random)];
	const sender = random.pick<Side>(['native', 'javascript']);
	let sealed = suites[sender].seal(keys[otherThan(sender)].publicKey, info, aad, plaintext);
	const isAltered = random.chance(60);
	if (isAltered) sealed = random.chance(20) ? resize(random, sealed) : flipBit(random, sealed);
	return {
		...both((side) => suites[side].open(keys[side], info, aad, sealed)),
		expected: isAltered ? 'unauthorized' : hex(plaintext),
		inputs: { seed, info, aad, sealed },
	};
};

/** In percent of all cases. JavaScript signing costs ten times the rest, so it comes least often. */
const table: readonly { readonly name: string; readonly percent: number; readonly run: Kind }[] = [
	{ name: 'ml-dsa key generation', percent: 10, run: mlDsaKeygen },
	{ name: 'ml-dsa native signs, javascript verifies', percent: 12, run: mlDsaNativeSigns },
	{ name: 'ml-dsa javascript signs, native verifies', percent: 5, run: mlDsaJavascriptSigns },
	{ name: 'ml-dsa altered signature, key, message or context', percent: 19, run: mlDsaAltered },
	{ name: 'ml-kem key generation', percent: 9, run: mlKemKeygen },
	{ name: 'ml-kem native encapsulates, javascript decapsulates', percent: 9, run: mlKemNativeEncapsulates },
	{ name: 'ml-kem javascript encapsulates, native decapsulates', percent: 9, run: mlKemJavascriptEncapsulates },
	{ name: 'ml-kem altered ciphertext', percent: 10, run: mlKemRejects },
	{ name: 'ml-kem altered public key', percent: 7, run: mlKemMalformedKey },
	{ name: 'composite signature, altered or not', percent: 4, run: compositeVerify },
	{ name: 'x-wing ciphertext, altered or not', percent: 3, run: xWing },
	{ name: 'hpke message, altered or not', percent: 3, run: hpke },
];

export const kindNames: readonly string[] = table.map(({ name }) => name);
const kinds = table.flatMap(({ percent }, kind) => Array.from({ length: percent }, () => kind));

/** Follows from the number alone, so every 100 consecutive cases have the mix of the table. */
export function kindOfCase(index: number): number {
	return kinds[index % kinds.length] ?? 0;
}

export interface CaseResult {
	/** Place in `kindNames`. */
	readonly kind: number;
	/** What differed, with all inputs in hex. Undefined where the backends agree. */
	readonly disagreement?: string;
}

export function runCase(random: CaseRandom, index: number, backends: Backends): CaseResult {
	const kind = kindOfCase(index);
	const entry = table[kind];
	if (entry === undefined) throw new Error(`no kind ${kind}`);
	let compared: Comparison;
	try {
		compared = entry.run(random, backends);
	} catch (error) {
		return { kind, disagreement: `${entry.name}: ${error instanceof Error ? error.stack : error}` };
	}
	const { native, javascript, expected = native, inputs } = compared;
	if (native === javascript && native === expected) return { kind };
	const lines = Object.entries({ native, javascript, expected }).map(([name, value]) => `  ${name} = ${value}`);
	const inputLines = Object.entries(inputs).map(([name, value]) => `  ${name}: ${hex(value)}`);
	return { kind, disagreement: [entry.name, ...lines, ...inputLines].join('\n') };
}
