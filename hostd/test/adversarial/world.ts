/**
 * A mesh of real hosts in processes of their own, enrolled as an operator does, with what only a test has: the root key, to
 * certify whom no operator would, and the same look at every host before and after an attack.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NodeKeys, peekRecord, sha256 } from '@beemesh/sdk/identity';
import { decodeRecord, type MachineId } from '@beemesh/sdk/wire';
import { type OpenedMeshFile, openMeshFile } from '../../../beectl/src/mesh/mesh-file.ts';
import { readOwnerKey } from '../../../beectl/src/owner/key-file.ts';
import type { Owner } from '../../../beectl/src/owner/owner.ts';
import { passphrasesFrom } from '../../../beectl/src/secrets/passphrase.ts';
import { type Beectl, createBeectl } from '../../../scripts/quickstart/beectl.ts';
import type { EnrolledMesh } from '../../../scripts/quickstart/mesh.ts';
import { createTestOwner, openOwnerSession } from '../../src/api/test/owner.ts';
import { loadNodeKeys } from '../../src/enrolment/node-keys.ts';
import { command, findProcesses } from '../e2e/commands.ts';
import { createTestMesh, type HostDaemon, startDaemon } from '../e2e/host-daemon.ts';
import type { Papers, Target } from './attacks/knock.ts';

const ROOT = join(import.meta.dirname, '../../..');
const noPassphrase = passphrasesFrom(undefined, undefined);

export interface World extends AsyncDisposable {
	readonly folder: string;
	readonly hosts: readonly HostDaemon[];
	readonly mesh: EnrolledMesh;
	readonly root: OpenedMeshFile;
	readonly owner: Owner;
	readonly beectl: Beectl;
	/** Starts one more host. */
	start(name: string, config?: Readonly<Record<string, unknown>>): Promise<HostDaemon>;
	stateDirOf(host: HostDaemon): string;
	keysOf(host: HostDaemon): Promise<NodeKeys>;
	targetOf(host: HostDaemon): Target;
	/** Papers as a member of this mesh would have them, but for what is changed. */
	machinePapers(keys: NodeKeys, certificate: Uint8Array, change?: Partial<Papers>): Papers;
	/** What each of these hosts says: who is in the mesh, and which pods of the owner it has. */
	look(hosts?: readonly HostDaemon[]): Promise<readonly HostView[]>;
}

export interface HostView {
	readonly host: string;
	readonly isUp: boolean;
	readonly machines: readonly string[];
	readonly pods: readonly string[];
}

export async function startWorld(
	names: readonly string[],
	config: (name: string) => Readonly<Record<string, unknown>>,
): Promise<World> {
	await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
	const folder = mkdtempSync(join(tmpdir(), 'bm-adv-'));
	const mesh = await createTestMesh(folder);
	const hosts: HostDaemon[] = [];
	const ownerFile = join(folder, 'owner.key');
	const beectl = createBeectl({
		...{ node: process.execPath, main: join(ROOT, 'beectl/bin/beectl.js') },
		...{ owner: ownerFile, mesh: mesh.file, socket: () => hosts[0]?.socket ?? join(folder, 'none') },
	});
	await beectl.read('owner', 'create', '--no-passphrase');
	const [root, owner] = await Promise.all([
		openMeshFile(mesh.file, noPassphrase),
		readOwnerKey(ownerFile, noPassphrase),
	]);
	const reader = createTestOwner(owner.signer);
	const stateDirOf = ({ name }: HostDaemon): string => join(folder, name, 'state');
	const domain = sha256(new TextEncoder().encode(`beemesh/mesh/${root.mesh.cid}`));
	const world: World = {
		...{ folder, hosts, mesh, root, owner, beectl, stateDirOf },
		async start(name, more = {}) {
			const host = await startDaemon({
				...{ name, mesh, folder: join(folder, name), join: hosts.slice(0, 1).map(({ address }) => address) },
				config: { bind: '127.0.0.1', port: 0, runtime: 'process', ...config(name), ...more },
				labels: { seat: name },
			});
			hosts.push(host);
			return host;
		},
		keysOf: (host) => loadNodeKeys(stateDirOf(host)),
		targetOf: ({ address }) => ({ peer: address.split('/p2p/')[1] as string, addresses: [address] }),
		machinePapers: ({ seed }, certificate, change) => ({
			...{ seed, plane: 'machine', domain, psk: root.keyrings[0].psk, epoch: root.epoch.body.seq, certificate },
			...{ cid: cidOfCertificate(certificate), ...change },
		}),
		look: (of = hosts) =>
			Promise.all(
				of.map(async ({ name, socket, process: child }) => {
					const session = await openOwnerSession(socket, reader, root.mesh);
					await using _ = session;
					const { hosts: present } = await session.api.hosts({});
					const { workloads } = await session.api.inventory({});
					const pods = workloads.flatMap(({ wid, pods: list }) =>
						list.map(({ podId, slot, gen, ready }) => `${wid} ${podId} ${slot} ${gen} ${ready}`),
					);
					return {
						...{ host: name, isUp: child.exitCode === null, pods: pods.sort() },
						machines: present.map(({ machineId, name: called }) => `${machineId as MachineId} ${called}`).sort(),
					};
				}),
			),
		async [Symbol.asyncDispose]() {
			await Promise.all(hosts.map((host) => host.stop()));
			// Pods of a host that was killed have the folder in their environment only.
			const ours = findProcesses(
				({ pid, commandLine }) =>
					commandLine.includes(folder) || readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder),
			);
			for (const { pid } of ours) process.kill(pid, 'SIGKILL');
			rmSync(folder, { recursive: true, force: true });
		},
	};
	for (const name of names) await world.start(name);
	return world;
}

/** Resolves when the hosts see each other. */
export async function whenComplete(world: World, count = world.hosts.length, hosts = world.hosts): Promise<void> {
	while (!(await world.look(hosts)).every(({ machines }) => machines.length === count))
		await new Promise((resolve) => setTimeout(resolve, 100));
}

/** As who accepts the certificate computes it: handshakes are signed with it. Anything for what is no certificate. */
function cidOfCertificate(credential: Uint8Array): string {
	const { cert } = decodeRecord(credential) as { readonly cert?: Uint8Array };
	try {
		return peekRecord('machine-cert', cert as Uint8Array).cid;
	} catch {
		return 'none';
	}
}
