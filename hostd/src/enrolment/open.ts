/** How a host comes by its membership: the bundle it is started with, the one it has kept, or, in development, a mesh of its own. */
import { readFile } from 'node:fs/promises';
import { MeshError } from '@beemesh/sdk/errors';
import {
	certifyMachine,
	createKeyPair,
	createKeyring,
	createMesh,
	decodeArmor,
	keyringIdOf,
	MACHINE_CERT_TTL_MS,
	type MeshBundle,
	type NodeKeys,
	openMesh,
	openMeshBundle,
	peekMachineCert,
	signRecord,
} from '@beemesh/sdk/identity';
import type { Logger } from '@beemesh/sdk/telemetry';
import { effectiveLabels, type MachineId, SELF_DECLARED } from '@beemesh/sdk/wire';
import { Membership } from '../mesh/index.ts';
import { invitedTo } from './request.ts';
import { BundleStore } from './store.ts';

export interface EnrolmentOptions {
	readonly stateDir: string;
	readonly keys: NodeKeys;
	/** File from `beectl mesh enroll`. Needed once: its content is kept. */
	readonly bundle: string | undefined;
	/** Make a mesh of this machine alone when it belongs to none. */
	readonly dev: boolean;
	/** For a development mesh. */
	readonly name: string;
	/** Of a development mesh, whose root certifies them as it is made. */
	readonly labels: Readonly<Record<string, string>>;
	readonly logger: Logger;
	readonly nowMs: () => number;
}

/** Throws `unauthorized` when this machine belongs to no mesh, or the bundle is not for it. */
export async function openMembership(options: EnrolmentOptions): Promise<Membership> {
	const { stateDir, keys, dev, logger, nowMs } = options;
	const store = new BundleStore(stateDir);
	const kept = await store.read();
	const given = await readBundle(options, kept);
	const bundle = given ?? kept ?? (dev ? devBundle(options, nowMs()) : undefined);
	if (bundle === undefined) {
		throw new MeshError(
			'unauthorized',
			`this machine belongs to no mesh: run \`hostd request\`, have its output enrolled with \`beectl mesh enroll\`, and start with --bundle FILE; or, to try things out alone, with --dev`,
		);
	}
	const membership = new Membership(keys, bundle, nowMs());
	if (bundle !== kept) await store.write(bundle);
	if (given !== undefined)
		logger.info('enrolled', { mesh: membership.trust.mesh.body.name, meshId: membership.meshId });
	else if (kept === undefined) {
		logger.warn('development mesh: this machine alone, under a root key that nobody has; no other can ever join it');
	}
	warnOfUncertified(options, membership);
	membership.onChange(() => {
		store.write(membership.bundle).catch((error: unknown) => {
			logger.error('what changed in this machine’s membership is not kept: after a restart it is asked for again', {
				error,
			});
		});
	});
	return membership;
}

/** What a machine says of itself chooses no host; whoever has set it should hear so. */
function warnOfUncertified({ labels, logger }: EnrolmentOptions, membership: Membership): void {
	const counted = effectiveLabels(membership.self.cert.labels, labels);
	for (const [key, value] of Object.entries(labels)) {
		if (Object.hasOwn(counted, key) && counted[key] === value) continue;
		logger.warn(
			'this label does not count: the certificate of this machine does not have it. Enrol it again with --label, or declare it under the prefix for what a machine says of itself',
			{ label: `${key}=${value}`, prefix: SELF_DECLARED },
		);
	}
}

async function readBundle(
	{ bundle: file, keys, stateDir }: EnrolmentOptions,
	kept: MeshBundle | undefined,
): Promise<MeshBundle | undefined> {
	if (file === undefined) return undefined;
	const text = await readFile(file, 'utf8').catch((cause: Error) => {
		// Given once, used once: with the next start it may be gone.
		if (kept !== undefined) return undefined;
		throw new MeshError('invalid_input', `cannot read the bundle ${file}: ${cause.message}`, { cause });
	});
	if (text === undefined) return undefined;
	let bundle: MeshBundle;
	try {
		bundle = openMeshBundle(decodeArmor('BUNDLE', text), keys.peer.peerId as MachineId, keys.kem);
	} catch (error) {
		if (!(error instanceof MeshError)) throw error;
		throw new MeshError(error.code, `${file}: ${error.message}`, { cause: error });
	}
	const theirs = openMesh(bundle.genesis);
	const invited = await invitedTo(stateDir);
	if (invited !== undefined && invited !== theirs.cid) {
		throw new MeshError(
			'unauthorized',
			`${file} is of mesh ${theirs.body.name} (${theirs.cid}); this machine was invited to ${invited}`,
		);
	}
	if (kept === undefined) return bundle;
	const ours = openMesh(kept.genesis);
	if (ours.cid !== theirs.cid) {
		throw new MeshError(
			'conflict',
			`${file} is of mesh ${theirs.body.name} (${theirs.cid}); this machine belongs to ${ours.body.name} (${ours.cid}): remove its state folder to change meshes`,
		);
	}
	// The one it was enrolled with, still named in its settings: what has changed since holds.
	return peekMachineCert(bundle.credential).nbf > peekMachineCert(kept.credential).nbf ? bundle : undefined;
}

/** A root key that is forgotten at once: nobody can add a machine, revoke one, or be asked to. */
function devBundle({ name, labels, keys }: EnrolmentOptions, nowMs: number): MeshBundle {
	const root = createKeyPair();
	const mesh = createMesh('dev', root, nowMs);
	const keyring = createKeyring();
	const exp = nowMs + MACHINE_CERT_TTL_MS;
	const cert = {
		mesh: mesh.cid,
		machineId: keys.peer.peerId as MachineId,
		sigKey: keys.signer.publicKey,
		kemKey: keys.kem.publicKey,
		caps: [],
		labels: { name, ...labels },
		serial: 1,
		nbf: nowMs,
		exp,
	};
	const epoch = { mesh: mesh.cid, seq: 1, revoked: [], keyringId: keyringIdOf(keyring), nbf: nowMs, exp };
	return {
		genesis: mesh.envelope,
		epoch: signRecord('mesh-epoch', epoch, root),
		credential: certifyMachine(cert, root),
		keyrings: [keyring],
		join: [],
	};
}
