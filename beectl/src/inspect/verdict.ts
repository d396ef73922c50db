/** Whether a record's signature holds, as far as it can be told from the record and the meshes that are known here. */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import {
	type Keys,
	type OpenedMesh,
	openCsr,
	openEnrolmentRequest,
	openMesh,
	openOwnerRoot,
	openRecord,
	openReplicaCert,
	openWorkloadEnd,
	ownerIdOf,
	type PeekedRecord,
} from '@beemesh/sdk/identity';
import type { OwnerId, RecordType } from '@beemesh/sdk/wire';

export interface Verdict {
	readonly state: 'holds' | 'broken' | 'unchecked';
	/** Whose it is, what is wrong, or what is missing to tell. */
	readonly why: string;
}

type Check<T extends RecordType> = (record: PeekedRecord<T>, meshes: readonly OpenedMesh[]) => Verdict;

export function verdictOn<T extends RecordType>(record: PeekedRecord<T>, meshes: readonly OpenedMesh[]): Verdict {
	return CHECKS[record.type](record, meshes);
}

/** `holds` with this, unless opening throws what a bad signature throws. */
export function verdictOf(open: () => unknown, whose: string): Verdict {
	try {
		open();
		return { state: 'holds', why: whose };
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return { state: 'broken', why: error.message };
	}
}

export function meshOf(meshes: readonly OpenedMesh[], cid: string): OpenedMesh | undefined {
	return meshes.find((mesh) => mesh.cid === cid);
}

export function unknownMesh(cid: string): Verdict {
	return unchecked(`it is of the mesh ${cid}, which is not known here; name its invitation with --mesh-genesis`);
}

const CHECKS: { readonly [T in RecordType]: Check<T> } = {
	'mesh-genesis': ({ envelope }) => verdictOf(() => openMesh(envelope), 'its own root key'),
	enroller: (record, meshes) => byRoot(record, record.body.mesh, meshes),
	'mesh-epoch': (record, meshes) => byRoot(record, record.body.mesh, meshes),
	'machine-cert': (record, meshes) => {
		const mesh = meshOf(meshes, record.body.mesh);
		if (mesh === undefined) return unknownMesh(record.body.mesh);
		return byRoot(record, mesh.cid, meshes);
	},
	'machine-renewal': () => unchecked('it takes the delegation of whoever signed it: give the whole credential'),
	'machine-csr': ({ envelope }) =>
		verdictOf(() => openEnrolmentRequest(envelope), 'the keys that it asks to have certified, all three'),
	'owner-root': ({ envelope }) => verdictOf(() => openOwnerRoot(envelope), 'the owner'),
	genesis: (record) => byOwner(record, record.body.owner),
	charter: (record) => byOwner(record, record.body.owner),
	'tender-grant': (record) => byOwner(record, record.body.owner),
	'workload-end': ({ envelope, body }) =>
		verdictOf(() => openWorkloadEnd(envelope, body.ts), 'the owner of the workload'),
	tender: (record) =>
		verdictOf(() => {
			const grant = openRecord('tender-grant', record.body.grant);
			requireOwner(grant.signer, grant.body.owner);
			openRecord('tender', record.envelope, [grant.body.tenderKey]);
		}, 'the tender key that the owner granted'),
	csr: ({ envelope }) => verdictOf(() => openCsr(envelope), 'the keys that it asks to have certified, all three'),
	award: ({ body }) => byMachine(body.requester),
	lease: ({ body }) => byMachine(body.machineId),
	'host-statement': ({ body }) => byMachine(body.machineId),
	presence: ({ body }) => byMachine(body.machineId),
	'replica-cert': ({ envelope }) =>
		verdictOf(
			() => openReplicaCert(envelope),
			'the replica itself; that it is a member takes an epoch which names this CID',
		),
	epoch: () => unchecked('it takes the epoch before it, with the certificates of its members, or the owner’s charter'),
	'service-record': ({ body }) =>
		unchecked(`it takes the certificate of replica ${body.replicaId}, which is not in it`),
};

function byRoot<T extends RecordType>(
	{ type, envelope }: PeekedRecord<T>,
	cid: string,
	meshes: readonly OpenedMesh[],
): Verdict {
	const mesh = meshOf(meshes, cid);
	if (mesh === undefined) return unknownMesh(cid);
	const root: Keys<T> = [mesh.body.rootKey];
	return verdictOf(() => openRecord(type, envelope, root), `the root key of the mesh "${mesh.body.name}"`);
}

function byOwner<T extends RecordType>({ type, envelope }: PeekedRecord<T>, owner: OwnerId): Verdict {
	return verdictOf(() => requireOwner(openRecord(type, envelope).signer, owner), 'the owner that it names');
}

function byMachine(machineId: string): Verdict {
	return unchecked(`it takes the certificate of machine ${machineId}, which is not in it`);
}

function requireOwner(signer: Uint8Array, owner: OwnerId): void {
	if (ownerIdOf(signer) !== owner)
		throw new MeshError('unauthorized', 'it is signed with another key than that of the owner it names');
}

function unchecked(why: string): Verdict {
	return { state: 'unchecked', why };
}
