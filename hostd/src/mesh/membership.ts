/**
 * This machine's place in its mesh: its keys and certificate, the secrets that all machines share, and whom it trusts.
 * What changes while it runs (renewed certificate, next epoch, next keyring) changes here, and is kept by whoever listens.
 */
import { MeshError } from '@beemesh/sdk/errors';
import {
	keyringIdOf,
	MachineTrust,
	type MeshBundle,
	type NodeKeys,
	type OpenedMachine,
	openMesh,
	requireNamed,
	sameBytes,
} from '@beemesh/sdk/identity';
import { decodeRecord, type Keyring, keyringSchema, type MachineId, type RecordCid } from '@beemesh/sdk/wire';
import * as v from 'valibot';

export class Membership {
	readonly keys: NodeKeys;
	readonly trust: MachineTrust;
	readonly #listeners = new Set<() => void>();
	#bundle: MeshBundle;
	#machine: OpenedMachine;

	/** Verifies the bundle as a whole. Throws `unauthorized` when it is another machine's, or does not hold now. */
	constructor(keys: NodeKeys, bundle: MeshBundle, nowMs: number) {
		this.keys = keys;
		this.trust = new MachineTrust(openMesh(bundle.genesis), bundle.epoch);
		this.#bundle = bundle;
		this.#machine = this.#ours(bundle.credential, nowMs);
	}

	get machineId(): MachineId {
		return this.keys.peer.peerId as MachineId;
	}

	get meshId(): RecordCid {
		return this.trust.mesh.cid;
	}

	/** This machine as the others see it: its certificate, and how long it holds. */
	get self(): OpenedMachine {
		return this.#machine;
	}

	get credential(): Uint8Array {
		return this.#bundle.credential;
	}

	/** Newest first; two while they change. */
	get keyrings(): readonly Keyring[] {
		return this.#bundle.keyrings;
	}

	/** As it is now, to be kept. */
	get bundle(): MeshBundle {
		return this.#bundle;
	}

	/** Told after anything of the bundle has changed. */
	onChange(listener: () => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** Takes a renewal of our own certificate. */
	renewed(credential: Uint8Array, nowMs: number): void {
		this.#machine = this.#ours(credential, nowMs);
		this.#set({ credential });
	}

	/** Takes an epoch from anybody. True when it is newer; {@link keyringMissing} says whether its secrets are still to come. */
	offerEpoch(envelope: Uint8Array): boolean {
		if (!this.trust.offerEpoch(envelope)) return false;
		this.#set({ epoch: envelope });
		return true;
	}

	get keyringMissing(): boolean {
		const [newest] = this.keyrings;
		return newest === undefined || !sameBytes(keyringIdOf(newest), this.trust.epoch.body.keyringId);
	}

	/** Takes the secrets that our epoch names. Throws `unauthorized` for any others. */
	offerKeyring(keyring: Keyring): void {
		if (!sameBytes(keyringIdOf(keyring), this.trust.epoch.body.keyringId))
			throw new MeshError('unauthorized', 'these are not the secrets that the current epoch of the mesh names');
		if (!this.keyringMissing) return;
		const [previous] = this.keyrings;
		this.#set({ keyrings: previous === undefined ? [keyring] : [keyring, previous] });
	}

	/** The same, sealed to this machine. Throws `unauthorized` or `invalid_input`. */
	offerSealedKeyring(sealed: Uint8Array): void {
		const parsed = v.safeParse(keyringSchema, decodeRecord(this.keys.kem.open('keyring', sealed)));
		if (!parsed.success) throw new MeshError('invalid_input', 'what is sealed is no keyring');
		this.offerKeyring(parsed.output);
	}

	#ours(credential: Uint8Array, nowMs: number): OpenedMachine {
		const machine = this.trust.learn(credential, nowMs);
		requireNamed(machine.cert, this.keys);
		return machine;
	}

	#set(change: Partial<MeshBundle>): void {
		this.#bundle = { ...this.#bundle, ...change };
		for (const listener of [...this.#listeners]) listener();
	}
}
