/**
 * The owner of `dev` mode and of tests: a key that all processes of one registry share, so that each can admit itself. The
 * records are the real ones; only that their owner is everybody is not.
 */
import * as v from 'valibot';
import {
	createKeyPair,
	defaultAdmissionTerms,
	EpochChain,
	encodeManifest,
	foundingEpoch,
	genesisFor,
	groupKeyCommit,
	hkdf,
	type KeyPair,
	linkOf,
	openOwnedCharter,
	openReplicaCert,
	ownerIdOf,
	sealAdmission,
	signRecord,
	signRecordPart,
	workloadIdOf,
} from '../../identity/index.ts';
import {
	type Bundle,
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	epochLinksSchema,
	KEY_BYTES,
	LIMITS,
	type Manifest,
	type RecordCid,
	SLOTS_MAX,
	type WorkloadId,
} from '../../wire/index.ts';

const NAMESPACE = 'default';
/** The end of the year 9999: nothing expires that nobody renews. */
const FOREVER_MS = 253_402_300_799_000;

const rosterSchema = v.strictObject({ charter: envelopeSchema, links: epochLinksSchema });

export class LocalOwner {
	readonly wid: WorkloadId;
	readonly manifestCid: RecordCid;
	readonly psk: Uint8Array;
	readonly #key: KeyPair;
	readonly #name: string;
	readonly #voters: number;
	readonly #manifest: Uint8Array;
	readonly #tenderKey: KeyPair;

	constructor(seed: Uint8Array, name: string, voters: number) {
		this.#key = createKeyPair(hkdf(seed, 'dev-owner', KEY_BYTES.seed));
		this.#tenderKey = createKeyPair(hkdf(seed, `tender/${name}`, KEY_BYTES.seed));
		this.psk = hkdf(seed, 'owner-psk', 32);
		this.#name = name;
		this.#voters = voters;
		this.wid = workloadIdOf(genesisFor(this.#key.publicKey, 'StatefulSet', NAMESPACE, name));
		const { bytes, cid } = encodeManifest(manifestOf(name, voters));
		this.#manifest = bytes;
		this.manifestCid = cid;
	}

	/** `roster`: what is kept of the members, whose era goes on. */
	bundle(roster: Uint8Array | undefined): Bundle {
		const owner = ownerIdOf(this.#key.publicKey);
		const grant = { wid: this.wid, owner, tenderKey: this.#tenderKey.publicKey, quota: 1024, exp: FOREVER_MS };
		const known = roster === undefined ? undefined : parseRoster(roster);
		return {
			genesis: signRecord('genesis', genesisFor(this.#key.publicKey, 'StatefulSet', NAMESPACE, this.#name), this.#key),
			charter: known?.charter ?? this.#charter(1),
			grant: signRecord('tender-grant', grant, this.#key),
			manifest: this.#manifest,
		};
	}

	/** The roster with one more member. A slot's older member is out. */
	admit(roster: Uint8Array | undefined, cert: Uint8Array, nowMs: number): Uint8Array {
		const known = roster === undefined ? undefined : parseRoster(roster);
		const { body } = openReplicaCert(cert);
		if (known === undefined) return this.#found(1, [cert]);
		const chain = this.#chain(known, nowMs);
		if (chain.member(body.replicaId) !== undefined) return roster as Uint8Array;
		try {
			const e = chain.head.e + 1;
			const draft = chain.draft([{ type: 'admit', cert }], {
				tsMs: Math.max(nowMs, chain.head.body.ts),
				groupKeyCommit: groupKeyCommit(this.#groupKey(chain.head.era, e)),
			});
			chain.offer([linkOf(draft, [signRecordPart('epoch', draft.body, this.#key)])], nowMs);
			return encodeRecord({ charter: known.charter, links: chain.linksSince(-1) });
		} catch {
			// A process that claimed its slot and ended before it joined leaves a generation out: begin a new era.
			const others = chain.head.members.filter(({ slot }) => slot !== body.slot).map(({ envelope }) => envelope);
			return this.#found(chain.head.era + 1, [...others, cert]);
		}
	}

	/** The answer to a newcomer whom the roster names. */
	answer(roster: Uint8Array, kemKey: Uint8Array, nowMs: number): Uint8Array {
		const known = parseRoster(roster);
		const { era, e } = this.#chain(known, nowMs).head;
		const secrets = { psk: this.psk, groupKey: this.#groupKey(era, e), tenderSecret: this.#tenderKey.seed };
		return sealAdmission({ links: known.links, ...secrets }, kemKey);
	}

	#chain({ charter, links }: v.InferOutput<typeof rosterSchema>, nowMs: number): EpochChain {
		return EpochChain.from(openOwnedCharter(charter, this.#key.publicKey, nowMs), links, nowMs);
	}

	#found(era: number, certs: readonly Uint8Array[]): Uint8Array {
		const charter = this.#charter(era);
		const { body } = openOwnedCharter(charter, this.#key.publicKey, Date.now());
		const commit = groupKeyCommit(this.#groupKey(era, 0));
		const draft = foundingEpoch(body, certs, { tsMs: Date.now(), groupKeyCommit: commit });
		const link = linkOf(draft, [signRecordPart('epoch', draft.body, this.#key)]);
		return encodeRecord({ charter, links: [link] });
	}

	#groupKey(era: number, e: number): Uint8Array {
		return hkdf(this.#key.seed, `group/${this.wid}/${era}/${e}`, 32);
	}

	#charter(era: number): Uint8Array {
		const owner = ownerIdOf(this.#key.publicKey);
		const named = { wid: this.wid, owner, era, kind: 'StatefulSet', namespace: NAMESPACE, name: this.#name } as const;
		const term = { replicas: this.#voters, deleted: false, nbf: 0, exp: FOREVER_MS };
		const terms = { ...defaultAdmissionTerms(this.#voters), slotsMax: SLOTS_MAX };
		return signRecord('charter', { ...named, ...terms, manifestCid: this.manifestCid, ...term }, this.#key);
	}
}

function parseRoster(bytes: Uint8Array): v.InferOutput<typeof rosterSchema> {
	return v.parse(rosterSchema, decodeRecord(bytes, LIMITS.admissionBytesMax));
}

function manifestOf(name: string, voters: number): Manifest {
	return {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: { name, namespace: NAMESPACE },
		spec: {
			replicas: voters,
			selector: { matchLabels: { app: name } },
			template: { spec: { containers: [{ name, image: 'dev' }] } },
		},
	};
}
