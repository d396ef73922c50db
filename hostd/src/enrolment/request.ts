/** `hostd request`: this machine's request for enrolment, as text to be carried to whoever holds the mesh's root key. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { decodeInvite, encodeArmor, requestEnrolment } from '@beemesh/sdk/identity';
import type { RecordCid } from '@beemesh/sdk/wire';
import { type HostConfig, hostNameOf } from '../config.ts';
import { loadNodeKeys } from './node-keys.ts';
import { writePrivate } from './private-file.ts';
import { BundleStore } from './store.ts';

const invitedFile = (stateDir: string): string => join(stateDir, 'mesh.invited');

/** Makes the machine's keys on first use. With an invitation, no bundle of another mesh will be taken later. */
export async function makeRequest(
	config: Pick<HostConfig, 'stateDir' | 'name' | 'machineName' | 'labels'>,
	invite: string | undefined,
	nowMs: number,
): Promise<{
	readonly text: string;
	readonly machineId: string;
	readonly name: string;
	readonly mesh: string | undefined;
}> {
	const { stateDir, labels } = config;
	await mkdir(stateDir, { recursive: true, mode: 0o700 });
	const mesh = invite === undefined ? undefined : (await readInvite(invite)).mesh;
	const keys = await loadNodeKeys(stateDir);
	if (mesh !== undefined) await writePrivate(invitedFile(stateDir), new TextEncoder().encode(mesh.cid));
	// Enrolled again, it keeps its name unless told another.
	const name = hostNameOf(config, (await new BundleStore(stateDir).read())?.name);
	const request = requestEnrolment(keys, { name, labels }, nowMs);
	return {
		text: encodeArmor('REQUEST', request),
		machineId: keys.peer.peerId,
		name,
		mesh: mesh === undefined ? undefined : `${mesh.body.name} (${mesh.cid})`,
	};
}

/** The mesh that this machine was invited to; undefined when nobody said which. */
export async function invitedTo(stateDir: string): Promise<RecordCid | undefined> {
	const text = await readFile(invitedFile(stateDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return undefined;
		throw error;
	});
	return text as RecordCid | undefined;
}

async function readInvite(file: string): Promise<ReturnType<typeof decodeInvite>> {
	try {
		return decodeInvite(await readFile(file, 'utf8'));
	} catch (cause) {
		throw new MeshError('invalid_input', `${file} is no invitation: ${(cause as Error).message}`, { cause });
	}
}
