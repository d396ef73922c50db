/** An owner and its sessions with hosts, as a tool has them: everything is proved, nothing of a carrier is believed. */
import { MeshError } from '@beemesh/sdk/errors';
import {
	createKemKey,
	createKeyPair,
	type KeyPair,
	type OpenedMachine,
	type OpenedMesh,
	openMachineCredential,
	openOwnerRoot,
	ownerIdOf,
	signRecord,
	verifySignature,
} from '@beemesh/sdk/identity';
import {
	type ByteStream,
	type Caller,
	dialUnix,
	openSession,
	type SessionIdentity,
	secureStream,
} from '@beemesh/sdk/streams';
import type { MachineId, OwnerId } from '@beemesh/sdk/wire';
import { askFor, HostApi, OWNER_EPOCH, OWNER_SESSION, ownerDomain } from '../index.ts';

export interface TestOwner {
	readonly id: OwnerId;
	readonly signer: KeyPair;
	identity(mesh: OpenedMesh): SessionIdentity<OpenedMachine>;
}

export interface TestSession extends AsyncDisposable {
	readonly api: Caller<(typeof HostApi)['methods']>;
	readonly machine: OpenedMachine;
}

export function createTestOwner(signer: KeyPair = createKeyPair()): TestOwner {
	const id = ownerIdOf(signer.publicKey);
	const body = { owner: id, sigKey: signer.publicKey, kemKey: createKemKey().publicKey, createdMs: 1 };
	const root = openOwnerRoot(signRecord('owner-root', body, signer));
	return {
		id,
		signer,
		identity(mesh) {
			const { domain, psk } = ownerDomain(mesh.cid);
			return {
				plane: 'owner',
				domain,
				psks: () => [psk],
				epoch: () => OWNER_EPOCH,
				certificate: () => ({ bytes: root.envelope, cid: root.cid }),
				sign: (message) => signer.sign(message),
				verify(credential, remote) {
					const machine = openMachineCredential(credential, mesh, Date.now());
					if (machine.machineId !== remote) throw new MeshError('unauthorized', 'another machine answers');
					const { cid, cert } = machine;
					return {
						principal: machine,
						cid,
						verifySignature: (message, signature) => verifySignature(cert.sigKey, message, signature),
					};
				},
				known: () => undefined,
			};
		},
	};
}

/** A session with the host at this socket, or with another one through it. */
export async function openOwnerSession(
	socket: string,
	owner: TestOwner,
	mesh: OpenedMesh,
	target?: MachineId,
): Promise<TestSession> {
	const raw = await dialUnix(socket);
	try {
		const { machineId, stream } = await askFor(raw, target);
		return await secured(stream, owner.identity(mesh), target ?? machineId);
	} catch (error) {
		raw.abort(error as Error);
		throw error;
	}
}

export async function secured(
	stream: ByteStream,
	identity: SessionIdentity<OpenedMachine>,
	remote: MachineId,
): Promise<TestSession> {
	const inside = await secureStream(stream, { role: 'initiator', identity, protocol: OWNER_SESSION, remote });
	const exchange = { hello: () => new Uint8Array(), admit: () => undefined };
	const session = await openSession(inside, { remote: 'local', initiator: true, exchange });
	return {
		api: session.caller(HostApi),
		machine: inside.principal,
		[Symbol.asyncDispose]: () => session.close(),
	};
}
