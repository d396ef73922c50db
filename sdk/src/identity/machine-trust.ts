/** What one machine knows of its mesh: the newest epoch, and the machines whose credentials it has verified. */
import { MeshError } from '../errors.ts';
import type { MachineId } from '../wire/index.ts';
import { type OpenedMachine, type OpenedMesh, openMachineCredential } from './machine.ts';
import { type OpenedRecord, openRecord, type PeekedRecord, peekRecord, requireFresh } from './records.ts';

/** Most machines remembered; of more the longest unused is forgotten, and asked for its credential again. */
const MACHINES_MAX = 4096;

export class MachineTrust {
	readonly mesh: OpenedMesh;
	#epoch: OpenedRecord<'mesh-epoch'>;
	#revoked: ReadonlySet<MachineId>;
	readonly #machines = new Map<MachineId, OpenedMachine>();
	readonly #byCid = new Map<string, MachineId>();
	readonly #listeners = new Set<(epoch: OpenedRecord<'mesh-epoch'>) => void>();

	constructor(mesh: OpenedMesh, epoch: Uint8Array) {
		this.mesh = mesh;
		this.#epoch = this.#openEpoch(epoch);
		this.#revoked = new Set(this.#epoch.body.revoked);
	}

	get epoch(): OpenedRecord<'mesh-epoch'> {
		return this.#epoch;
	}

	/** Told of every newer epoch, after it holds. */
	onEpoch(listener: (epoch: OpenedRecord<'mesh-epoch'>) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** Takes an epoch from anybody. True when it is newer. Throws `unauthorized`; `conflict` for a second one of a number. */
	offerEpoch(envelope: Uint8Array): boolean {
		const claimed = peekRecord('mesh-epoch', envelope);
		if (claimed.cid === this.#epoch.cid || claimed.body.seq < this.#epoch.body.seq) return false;
		const epoch = this.#openEpoch(envelope);
		if (epoch.body.seq === this.#epoch.body.seq) {
			throw new MeshError('conflict', `there are two epochs ${epoch.body.seq} of this mesh: its root key is misused`, {
				details: { known: this.#epoch.cid, other: epoch.cid },
			});
		}
		this.#epoch = epoch;
		this.#revoked = new Set(epoch.body.revoked);
		for (const machineId of this.#revoked) this.#forget(machineId);
		for (const listener of [...this.#listeners]) listener(epoch);
		return true;
	}

	/** Verifies a credential and that its machine is not revoked; remembers it. */
	learn(credential: Uint8Array, nowMs: number): OpenedMachine {
		const machine = openMachineCredential(credential, this.mesh, nowMs);
		const { machineId } = machine;
		if (this.#revoked.has(machineId)) throw revoked(machineId);
		const known = this.#machines.get(machineId);
		this.#forget(machineId);
		// An older certificate of the same machine, still valid, does not replace its renewal.
		const newest = known !== undefined && known.exp > machine.exp ? known : machine;
		this.#machines.set(machineId, newest);
		this.#byCid.set(newest.cid, machineId);
		if (this.#machines.size > MACHINES_MAX) {
			const [oldest] = this.#machines.keys();
			if (oldest !== undefined) this.#forget(oldest);
		}
		return machine;
	}

	/** A machine whose credential is known and holds now. */
	machine(machineId: MachineId, nowMs: number): OpenedMachine | undefined {
		const found = this.#machines.get(machineId);
		return found !== undefined && nowMs <= found.exp ? found : undefined;
	}

	/** A machine by the CID of its newest certificate. */
	byCid(cid: string): OpenedMachine | undefined {
		const machineId = this.#byCid.get(cid);
		const found = machineId === undefined ? undefined : this.#machines.get(machineId);
		return found?.cid === cid ? found : undefined;
	}

	isRevoked(machineId: MachineId): boolean {
		return this.#revoked.has(machineId);
	}

	/** Verifies that a machine of the mesh signed this record and names itself in it. */
	open<T extends MachineRecordType>(type: T, envelope: Uint8Array, nowMs: number): OpenedRecord<T> {
		return this.verify(peekRecord(type, envelope), nowMs);
	}

	/** The same, of a record that has been looked at. */
	verify<T extends MachineRecordType>(claimed: PeekedRecord<T>, nowMs: number): OpenedRecord<T> {
		return claimed.verify([this.#keyOf((claimed.body as { readonly machineId: MachineId }).machineId, nowMs)]);
	}

	/** Verifies an award: fresh, signed by the machine that it names as its requester. */
	openAward(envelope: Uint8Array, nowMs: number): OpenedRecord<'award'> {
		const claimed = peekRecord('award', envelope);
		requireFresh('the award', claimed.body, nowMs);
		return claimed.verify([this.#keyOf(claimed.body.requester, nowMs)]);
	}

	#forget(machineId: MachineId): void {
		const known = this.#machines.get(machineId);
		if (known !== undefined) this.#byCid.delete(known.cid);
		this.#machines.delete(machineId);
	}

	#keyOf(machineId: MachineId, nowMs: number): Uint8Array {
		if (this.#revoked.has(machineId)) throw revoked(machineId);
		const machine = this.machine(machineId, nowMs);
		if (machine === undefined)
			throw new MeshError('unauthorized', `the certificate of machine ${machineId} is not known here`);
		return machine.cert.sigKey;
	}

	#openEpoch(envelope: Uint8Array): OpenedRecord<'mesh-epoch'> {
		const epoch = openRecord('mesh-epoch', envelope, [this.mesh.body.rootKey]);
		if (epoch.body.mesh !== this.mesh.cid) throw new MeshError('unauthorized', 'the epoch is of another mesh');
		return epoch;
	}
}

/** Records that name the machine that signs them as `machineId`. */
export type MachineRecordType = 'host-statement' | 'presence' | 'lease';

function revoked(machineId: MachineId): MeshError {
	return new MeshError('unauthorized', `machine ${machineId} has been revoked from this mesh`, {
		details: { refusal: 'revoked' },
	});
}
