/**
 * One case: a valid input of a target, altered, and what its decoder makes of it. A finding is anything but a refusal that
 * the decoder's documentation names, or an acceptance of what was not signed, not canonical, or not stable when it is
 * encoded again; and whatever takes too long.
 */
import { decodeBody, encodeBody } from '../../../sdk/src/streams/rpc/msgpack.ts';
import type { CaseRandom } from '../random.ts';
import { type Tree, treeOf } from './cbor-tree.ts';
import { type Authentic, type Corpus, createCorpus } from './corpus.ts';
import { mutateBytes, mutateValue } from './mutate.ts';
import { mutateCbor } from './mutate-cbor.ts';
import type { Accepted, Form, Target } from './target.ts';
import { allTargets } from './targets/index.ts';

/** Of one call. Longer ones are tried again by the time that they compute, for the machine may have been busy. */
const CALL_MS_MAX = 100;
const TRIES = 3;

export interface Finding {
	readonly what: string;
	readonly mutant: Uint8Array;
}

export interface Outcome {
	/** Place among the targets. */
	readonly target: number;
	/** `known`: the alteration changed nothing. */
	readonly verdict: 'refused' | 'accepted' | 'known' | 'finding';
	readonly finding?: Finding;
	readonly tookMs: number;
	/** Refused before any signature was looked at. */
	readonly isCheap: boolean;
}

interface Prepared {
	readonly target: Target;
	readonly trees: readonly (Tree | undefined)[];
	readonly values: readonly unknown[];
}

export class Cases {
	readonly targets: readonly Target[];
	readonly #prepared: readonly Prepared[];
	readonly #authentic: Authentic;
	readonly #mix: readonly number[];
	readonly #trees: readonly Tree[];
	readonly #values: readonly unknown[];

	private constructor(given: readonly Target[], authentic: Authentic) {
		// Plain arrays, whose slices are copies.
		const plain = ({ samples }: Target): Uint8Array[] => samples.map((sample) => new Uint8Array(sample));
		const targets = given.map((target) => ({ ...target, samples: plain(target) }));
		this.targets = targets;
		this.#authentic = authentic;
		this.#prepared = targets.map((target) => ({
			target,
			trees: target.form === 'cbor' ? target.samples.map(treeOf) : [],
			values: target.samples.map((sample) => plainValueOf(target.form, sample)).filter((value) => value !== undefined),
		}));
		this.#mix = targets.flatMap(({ weight }, place) => new Array<number>(weight).fill(place));
		this.#trees = this.#prepared.flatMap(({ trees }) => trees.filter((tree) => tree !== undefined));
		this.#values = this.#prepared.flatMap(({ values }) => values);
	}

	static async create(corpus: Corpus = createCorpus()): Promise<Cases> {
		return Cases.of(await allTargets(corpus), corpus.authentic);
	}

	static of(targets: readonly Target[], authentic: Authentic): Cases {
		return new Cases(targets, authentic);
	}

	/** Which target, by the case's own randomness, unless one is given; the same input from the same randomness. */
	mutant(
		random: CaseRandom,
		place = this.#mix[random.below(this.#mix.length)] ?? 0,
	): { place: number; bytes: Uint8Array } {
		const { target, trees, values } = this.#prepared[place] as Prepared;
		const at = random.below(target.samples.length);
		const sample = target.samples[at] as Uint8Array;
		const [tree, value] = [trees[at], values[at]];
		let bytes = sample;
		const isPlain = random.chance(15);
		if (tree !== undefined && !isPlain) bytes = mutateCbor(random, tree, this.#trees);
		else if (value !== undefined && !isPlain) bytes = encoded(target.form, mutateValue(random, value, this.#values));
		if (bytes === sample || random.chance(8)) bytes = mutateBytes(random, bytes, target.samples);
		return { place, bytes };
	}

	run(random: CaseRandom, place?: number): Outcome | Promise<Outcome> {
		const mutant = this.mutant(random, place);
		const target = this.targets[mutant.place] as Target;
		return target.samples.some((sample) => Buffer.compare(sample, mutant.bytes) === 0)
			? { target: mutant.place, verdict: 'known', tookMs: 0, isCheap: false }
			: this.#judge(mutant.place, target, mutant.bytes, TRIES);
	}

	#judge(place: number, target: Target, mutant: Uint8Array, tries: number): Outcome | Promise<Outcome> {
		// A copy: a decoder that keeps or alters its input must not alter the corpus.
		const input = mutant.slice();
		const startMs = clockMs(tries);
		let made: Accepted | Promise<Accepted>;
		try {
			made = target.accept(input);
		} catch (error) {
			return this.#refused(place, target, mutant, error, startMs, tries);
		}
		if (!(made instanceof Promise)) return this.#accepted(place, target, mutant, made, startMs, tries);
		return made.then(
			(accepted) => this.#accepted(place, target, mutant, accepted, startMs, tries),
			(error: unknown) => this.#refused(place, target, mutant, error, startMs, tries),
		);
	}

	#refused(
		place: number,
		target: Target,
		mutant: Uint8Array,
		error: unknown,
		startMs: number,
		tries: number,
	): Outcome | Promise<Outcome> {
		const tookMs = clockMs(tries) - startMs;
		if (!target.refuses(error)) return found(place, mutant, tookMs, `threw ${described(error)}`);
		const isCheap = (error as { readonly code?: string }).code !== 'unauthorized';
		return this.#timed({ target: place, verdict: 'refused', tookMs, isCheap }, target, mutant, tries);
	}

	#accepted(
		place: number,
		target: Target,
		mutant: Uint8Array,
		{ proved = [], canonical, again }: Accepted,
		startMs: number,
		tries: number,
	): Outcome | Promise<Outcome> {
		const tookMs = clockMs(tries) - startMs;
		if (proved.some((part) => !this.#authentic.has(part)))
			return found(place, mutant, tookMs, 'was believed, and nobody has signed or sealed it');
		if (canonical !== undefined && Buffer.compare(canonical, mutant) !== 0)
			return found(place, mutant, tookMs, `was accepted, and its encoding is ${hex(canonical)}`);
		if (again !== undefined) {
			try {
				const once = again(mutant);
				const twice = again(once);
				if (Buffer.compare(once, twice) !== 0)
					return found(place, mutant, tookMs, `is encoded as ${hex(once)} and that as ${hex(twice)}`);
			} catch (error) {
				if (!target.refuses(error)) return found(place, mutant, tookMs, `threw ${described(error)}`);
			}
		}
		return this.#timed({ target: place, verdict: 'accepted', tookMs, isCheap: false }, target, mutant, tries);
	}

	#timed(outcome: Outcome, target: Target, mutant: Uint8Array, tries: number): Outcome | Promise<Outcome> {
		if (outcome.tookMs <= CALL_MS_MAX) return outcome;
		if (tries > 1) return this.#judge(outcome.target, target, mutant, tries - 1);
		return found(outcome.target, mutant, outcome.tookMs, `took ${Math.round(outcome.tookMs)} ms, ${TRIES} times`);
	}
}

/** Computing time once there is a doubt. */
function clockMs(tries: number): number {
	if (tries === TRIES) return performance.now();
	const { user, system } = process.threadCpuUsage();
	return (user + system) / 1000;
}

function found(target: number, mutant: Uint8Array, tookMs: number, what: string): Outcome {
	return { target, verdict: 'finding', finding: { what, mutant }, tookMs, isCheap: false };
}

function described(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\ncaused by ${described(error.cause)}`}`;
}

export function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}

function plainValueOf(form: Form, sample: Uint8Array): unknown {
	if (form === 'msgpack') return decodeBody(sample);
	return form === 'json' ? JSON.parse(new TextDecoder().decode(sample)) : undefined;
}

function encoded(form: Form, value: unknown): Uint8Array {
	if (form === 'msgpack') return encodeBody(value);
	const plain = (_: string, part: unknown): unknown => (typeof part === 'bigint' ? String(part) : part);
	return new TextEncoder().encode(JSON.stringify(value, plain) ?? '');
}
