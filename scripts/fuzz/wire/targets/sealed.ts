/** What is sealed: altered outside, where nothing may open it, and inside by one who may seal. */
import * as v from 'valibot';
import { openGossip, sealGossip } from '../../../../hostd/src/mesh/gossip-seal.ts';
import { Membership } from '../../../../hostd/src/mesh/membership.ts';
import { buildPod } from '../../../../hostd/src/pods/build-pod.ts';
import { HostPolicy } from '../../../../hostd/src/policy/host-policy.ts';
import { MeshError } from '../../../../sdk/src/errors.ts';
import {
	cidOf,
	openBundle,
	openForGroup,
	openMeshBundle,
	openReason,
	openSealedAdmission,
	openSealedBundle,
	sealAdmission,
	sealBundle,
	sealForGroup,
	sealMeshBundle,
	sealReason,
	sealTo,
	signRecord,
} from '../../../../sdk/src/identity/index.ts';
import { MANIFEST } from '../../../../sdk/src/identity/test/fixtures.ts';
import { requirementsOf } from '../../../../sdk/src/replicas/core/requirements.ts';
import {
	bundleSchema,
	decodeRecord,
	encodeRecord,
	LIMITS,
	SEALED_BUNDLE_BYTES_MAX,
} from '../../../../sdk/src/wire/index.ts';
import { AWARD_ID, type Corpus, NOW_MS } from '../corpus.ts';
import { codes, MADE_OF_NOTHING, recordCodes, type Target } from '../target.ts';

const CONTEXT = 'gossip\0mesh\0tender';
const TOPIC = 'tender';

export function sealedTargets(corpus: Corpus): Target[] {
	return [
		...forGroup(corpus),
		...meshBundles(corpus),
		...awardBundles(corpus),
		...admissions(corpus),
		manifests(corpus),
		reasons(corpus),
	];
}

/** One that is sealed, whole: accepted means that it is one of the samples. */
function whole(
	corpus: Corpus,
	name: string,
	samples: readonly Uint8Array[],
	open: (bytes: Uint8Array) => void,
	form: Target['form'] = 'bytes',
): Target {
	for (const sample of samples) corpus.authentic.note(sample);
	return {
		...{ name, weight: 20, form, samples, refuses: codes('invalid_input', 'unauthorized', 'not_found') },
		accept(bytes) {
			open(bytes);
			return { proved: [bytes] };
		},
	};
}

function inside(name: string, weight: number, sample: Uint8Array, open: (bytes: Uint8Array) => void): Target {
	return {
		...{ name: `${name}, inside`, weight, form: 'cbor', samples: [sample], refuses: recordCodes },
		accept(bytes) {
			open(bytes);
			return MADE_OF_NOTHING;
		},
	};
}

function forGroup(corpus: Corpus): Target[] {
	const { mesh, epoch, credential, keyring, machine, records } = corpus;
	const bundle = { genesis: mesh.envelope, epoch, credential, keyrings: [keyring], join: [] };
	const membership = new Membership(machine, bundle, NOW_MS);
	const keys = [keyring.groupKey];
	return [
		whole(corpus, 'group message', [sealForGroup(keyring.groupKey, CONTEXT, records.lease)], (bytes) =>
			openForGroup(keys, CONTEXT, bytes),
		),
		whole(corpus, 'gossip message', [sealGossip(membership, TOPIC, records.tender)], (bytes) => {
			const opened = openGossip(membership, TOPIC, bytes);
			if ('error' in opened) throw opened.error;
		}),
	];
}

function meshBundles(corpus: Corpus): Target[] {
	const { mesh, epoch, credential, keyring, machine, machineId } = corpus;
	const bundle = { genesis: mesh.envelope, epoch, credential, keyrings: [keyring], join: ['/ip4/192.0.2.1/udp/4700'] };
	const open = (file: Uint8Array) => new Membership(machine, openMeshBundle(file, machineId, machine.kem), NOW_MS);
	const file = sealMeshBundle(bundle, machineId, machine.kem.publicKey);
	return [
		whole(corpus, 'mesh bundle', [file], open, 'cbor'),
		inside('mesh bundle', 3, encodeRecord(bundle), (bytes) =>
			open(encodeRecord({ machineId, sealed: sealTo(machine.kem.publicKey, 'mesh-bundle', bytes) })),
		),
		{
			...inside('keyring', 2, encodeRecord(keyring), (bytes) =>
				new Membership(machine, bundle, NOW_MS).offerSealedKeyring(sealTo(machine.kem.publicKey, 'keyring', bytes)),
			),
		},
	];
}

function awardBundles(corpus: Corpus): Target[] {
	const { bundle, opened, ownerKem, machine } = corpus;
	const open = (sealed: Uint8Array) => {
		const { bundle } = openSealedBundle(sealed, AWARD_ID, machine.kem);
		openBundle(bundle, NOW_MS);
	};
	const plain = encodeRecord({ awardId: AWARD_ID, bundle, replyKey: ownerKem.publicKey });
	return [
		whole(corpus, 'award bundle', [sealBundle(bundle, AWARD_ID, opened, ownerKem)], open),
		inside('award bundle', 3, plain, (bytes) => open(sealTo(machine.kem.publicKey, 'award-bundle', bytes))),
		// Without the seal, so that there are many: what the winner checks of it.
		{
			name: 'award bundle, its records',
			weight: 40,
			form: 'cbor',
			samples: [encodeRecord(bundle)],
			refuses: recordCodes,
			accept(bytes) {
				const parsed = v.safeParse(bundleSchema, decodeRecord(bytes, SEALED_BUNDLE_BYTES_MAX));
				if (!parsed.success) throw new MeshError('invalid_input', 'no bundle');
				const found = openBundle(parsed.output, NOW_MS);
				return { proved: [found.charter.envelope, found.grant.envelope] };
			},
		},
	];
}

function admissions(corpus: Corpus): Target[] {
	const { replica, keyring, tenderKey, epochs } = corpus;
	const answer = {
		links: [epochs.founding, epochs.next],
		psk: keyring.psk,
		groupKey: keyring.groupKey,
		tenderSecret: tenderKey.seed,
	};
	const open = (sealed: Uint8Array) => openSealedAdmission(sealed, replica.kem);
	return [
		whole(corpus, 'admission answer', [sealAdmission(answer, replica.kem.publicKey)], open),
		inside('admission answer', 3, encodeRecord(answer), (bytes) => {
			if (bytes.byteLength < LIMITS.admissionBytesMax - 2_000)
				open(sealTo(replica.kem.publicKey, 'workload-admission', bytes));
		}),
	];
}

/** What its owner has signed the CID of, as the winner of an award meets it before it runs any of it. */
function manifests({ owner, bundle, charter }: Corpus): Target {
	const policy = new HostPolicy();
	const claims = [{ metadata: { name: 'data' }, spec: { resources: { requests: { storage: '1Gi' } } } }];
	const container = {
		...{ name: 'web', image: 'web:1', command: ['web'], env: [{ name: 'A', value: 'b' }] },
		...{ ports: [{ containerPort: 80, name: 'http', protocol: 'TCP' }], resources: { requests: { cpu: '100m' } } },
		...{
			volumeMounts: [{ name: 'data', mountPath: '/data' }],
			readinessProbe: { httpGet: { port: 'http', path: '/' } },
		},
	};
	const { metadata } = MANIFEST;
	const template = {
		metadata: { labels: { app: 'web' } },
		spec: { containers: [container], initContainers: [{ ...container, name: 'first' }] },
	};
	const spec = { replicas: 2, selector: { matchLabels: { app: 'web' } }, template, volumeClaimTemplates: claims };
	const sign = (bytes: Uint8Array): Uint8Array =>
		signRecord('charter', { ...charter.body, manifestCid: cidOf(bytes) }, owner);
	return {
		name: 'manifest, signed anew',
		weight: 4,
		form: 'cbor',
		samples: [bundle.manifest, encodeRecord({ ...MANIFEST, metadata, spec })],
		refuses: recordCodes,
		accept(bytes) {
			const opened = openBundle({ ...bundle, charter: sign(bytes), manifest: bytes }, NOW_MS);
			// All that is made of it once it has been opened: what refuses late must refuse in words, too.
			requirementsOf(opened.manifest);
			policy.check(opened.manifest, opened.charter.body);
			buildPod(opened.manifest, 1, 1);
			return MADE_OF_NOTHING;
		},
	};
}

/** As text; whatever it is, it can be read, or it is said that it cannot. */
function reasons({ ownerKem }: Corpus): Target {
	const text = sealReason('memory: needs 900Gi', ownerKem.publicKey);
	return {
		name: 'sealed reason',
		weight: 8,
		form: 'bytes',
		samples: [new TextEncoder().encode(text)],
		refuses: () => false,
		accept(bytes) {
			v.assert(v.string(), openReason(new TextDecoder().decode(bytes), ownerKem));
			return MADE_OF_NOTHING;
		},
	};
}
