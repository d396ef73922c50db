/** Files that people carry and programs keep, what is written for `beectl`, and the first words on a host's socket. */

import * as v from 'valibot';
import { inspectBytes } from '../../../../beectl/src/inspect/inspect.ts';
import { parseYaml } from '../../../../beectl/src/manifests/yaml.ts';
import { MESH_FILE, meshOf } from '../../../../beectl/src/mesh/mesh-file.ts';
import { OWNER_FILE } from '../../../../beectl/src/owner/key-file.ts';
import { parseSecretFile, secretFileText } from '../../../../beectl/src/secrets/secret-file.ts';
import { askFor, readAsk, writeAnswer } from '../../../../hostd/src/api/preface.ts';
import { parsePolicy } from '../../../../hostd/src/policy/allowances.ts';
import { isMeshError } from '../../../../sdk/src/errors.ts';
import {
	ARMOR_TEXT_MAX,
	type ArmorKind,
	decodeArmor,
	decodeInvite,
	encodeArmor,
	encodeInvite,
	openOwnerRoot,
} from '../../../../sdk/src/identity/index.ts';
import type { ByteStream } from '../../../../sdk/src/streams/transport.ts';
import { encodeRecord } from '../../../../sdk/src/wire/index.ts';
import { decodeKept } from '../../../../sdk/src/workplane/identity-file.ts';
import { AWARD_ID, type Corpus, NOW_MS } from '../corpus.ts';
import { codes, MADE_OF_NOTHING, recordCodes, type Target } from '../target.ts';

const utf8 = new TextEncoder();
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

export async function fileTargets(corpus: Corpus): Promise<Target[]> {
	return [...armoured(corpus), ...secretFiles(corpus), ...texts(corpus), ...(await prefaces(corpus))];
}

function armoured({ mesh, records, replica }: Corpus): Target[] {
	const join = [`/ip4/192.0.2.7/udp/4700/quic-v1/p2p/${replica.peer.peerId}`];
	const invite = encodeInvite({ mesh, join });
	const of = (kind: ArmorKind, bytes: Uint8Array): Uint8Array => utf8.encode(encodeArmor(kind, bytes));
	return [
		{
			...{ name: 'armour', weight: 20, form: 'bytes', refuses: recordCodes },
			samples: [of('OWNER', records['owner-root']), of('OWNER', new Uint8Array(4))],
			accept: () => ({
				again: (input) => utf8.encode(encodeArmor('OWNER', decodeArmor('OWNER', textOf(input)))),
			}),
		},
		{
			...{ name: 'invitation', weight: 20, form: 'bytes', samples: [utf8.encode(invite)], refuses: recordCodes },
			accept: (bytes) => ({ proved: [decodeInvite(textOf(bytes)).mesh.envelope] }),
		},
		{
			...{ name: 'invitation, inside', weight: 20, form: 'cbor', refuses: recordCodes },
			samples: [encodeRecord({ genesis: mesh.envelope, join })],
			accept: (bytes) => ({
				proved: [decodeInvite(encodeArmor('INVITE', bytes.subarray(0, ARMOR_TEXT_MAX))).mesh.envelope],
			}),
		},
	];
}

function secretFiles({ mesh, epoch, records, ownerId, root, keyring, owner, ownerKem }: Corpus): Target[] {
	const meshPublic = {
		...{ name: mesh.body.name, mesh: mesh.cid, genesis: base64(mesh.envelope), epoch: base64(epoch) },
		...{ deliveredSeq: 1, join: [], nextSerial: 2, machines: [] },
	};
	const ownerPublic = { owner: ownerId, root: base64(records['owner-root']) };
	const none = { kdf: 'none' } as const;
	const meshSecret = encodeRecord({ rootSeed: root.seed, keyrings: [keyring] });
	const ownerSecret = encodeRecord({ seed: owner.seed, kemSeed: ownerKem.seed });
	return [
		{
			...{ name: 'mesh file', weight: 10, form: 'json', refuses: recordCodes },
			samples: [utf8.encode(secretFileText(MESH_FILE, meshPublic, meshSecret, none))],
			accept(bytes) {
				const { publicPart } = parseSecretFile(MESH_FILE, textOf(bytes), 'mesh.json');
				const { mesh, epoch } = meshOf(publicPart, 'mesh.json');
				return { proved: [mesh.envelope, epoch.envelope] };
			},
		},
		{
			...{ name: 'owner file', weight: 10, form: 'json', refuses: recordCodes },
			samples: [utf8.encode(secretFileText(OWNER_FILE, ownerPublic, ownerSecret, none))],
			accept(bytes) {
				const { publicPart } = parseSecretFile(OWNER_FILE, textOf(bytes), 'owner.json');
				return { proved: [openOwnerRoot(Buffer.from(publicPart.root, 'base64url')).envelope] };
			},
		},
	];
}

function texts({ mesh, records, credential, replica, epochs }: Corpus): Target[] {
	const policy = {
		default: { hostPorts: [{ from: 8000, to: 8080 }] },
		owners: {
			['bafyreiabcdefghijklmnopqrstuvwxyz234567']: {
				hostPaths: [{ path: '/srv/data', readOnly: true }],
				privileged: true,
			},
		},
	};
	const manifest =
		'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {"a": b}}\nspec:\n  replicas: 2\n---\na: &x [1, "two", 3.0]\nb: |\n  text\n';
	const meshes = [mesh];
	const armor = utf8.encode(encodeArmor('OWNER', records['owner-root']));
	const kept = { award: AWARD_ID, seed: replica.seed, request: { csr: records.csr, cert: epochs.cert } };
	return [
		{
			...{
				name: 'policy file',
				weight: 5,
				form: 'json',
				samples: [utf8.encode(JSON.stringify(policy))],
				refuses: recordCodes,
			},
			accept(bytes) {
				parsePolicy(textOf(bytes), 'policy.json');
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'YAML', weight: 3, form: 'bytes', samples: [utf8.encode(manifest)], refuses: recordCodes },
			accept(bytes) {
				parseYaml(textOf(bytes));
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'inspect', weight: 10, form: 'cbor', refuses: recordCodes },
			samples: [...Object.values(records), credential],
			accept(bytes) {
				inspectBytes(bytes, 'it', { meshes, nowMs: NOW_MS });
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'inspect a text', weight: 5, form: 'bytes', samples: [armor], refuses: recordCodes },
			accept(bytes) {
				inspectBytes(bytes, 'it', { meshes, nowMs: NOW_MS });
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'identity file', weight: 10, form: 'cbor', samples: [encodeRecord(kept)], refuses: refusesKept },
			accept(bytes) {
				decodeKept(bytes);
				return MADE_OF_NOTHING;
			},
		},
	];
}

/** Whatever is wrong with it, the replica is a new one. */
const refusesKept = (error: unknown): boolean => error instanceof v.ValiError || recordCodes(error);

async function prefaces({ machineId, mesh }: Corpus): Promise<Target[]> {
	const refusesAsk = codes('invalid_input', 'conflict', 'unavailable');
	const asked = new Recorded();
	await askFor(asked, machineId).catch(() => undefined);
	const answered = new Recorded();
	writeAnswer(answered, { ok: true, machineId, genesis: mesh.envelope });
	const refused = new Recorded();
	writeAnswer(refused, { ok: false, code: 'not_found', message: 'no such host' });
	return [
		{
			...{ name: 'preface', weight: 10, form: 'bytes', samples: [asked.bytes], refuses: refusesAsk },
			async accept(bytes) {
				await readAsk(new Recorded(bytes));
				return MADE_OF_NOTHING;
			},
		},
		{
			// Whatever a host says is its refusal.
			...{ name: "host's answer to a preface", weight: 10, form: 'bytes', refuses: isMeshError },
			samples: [answered.bytes, refused.bytes],
			async accept(bytes) {
				await askFor(new Recorded(bytes), machineId);
				return MADE_OF_NOTHING;
			},
		},
	];
}

/** A stream that says these bytes and keeps what it is told. */
class Recorded implements ByteStream {
	bytes: Uint8Array = new Uint8Array(0);
	readonly #said: Uint8Array;

	constructor(said: Uint8Array = new Uint8Array(0)) {
		this.#said = said;
	}

	write(chunk: Uint8Array): boolean {
		this.bytes = chunk.slice();
		return true;
	}

	get source(): AsyncIterable<Uint8Array> {
		const said = this.#said;
		return (async function* () {
			yield said.subarray(0, said.byteLength >>> 1);
			yield said.subarray(said.byteLength >>> 1);
		})();
	}

	async drained(): Promise<void> {}
	async close(): Promise<void> {}
	abort(): void {}
	onClose(): void {}
}
