/**
 * Keeps the mesh's epoch current: whoever has a newer one passes it on to all its sessions, whoever was away asks, and
 * the secrets that an epoch names travel over sessions only, from a machine that has them to one that is still a member.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { type PeekedRecord, peekRecord } from '@beemesh/sdk/identity';
import type { RpcNode, Session } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import { LIMITS, type MachineId } from '@beemesh/sdk/wire';
import type { Clock } from './clock.ts';
import type { MachinePrincipal } from './hello.ts';
import { Intake } from './intake.ts';
import type { Membership } from './membership.ts';
import { MachineMeshApi } from './mesh-api.ts';
import { renew } from './renewal.ts';

const EPOCH_CHANNEL = 'mesh-epoch';
const CALL_MS = 5_000;
/** Until the secrets of an epoch have been found, somebody is asked this often. */
const ASK_EVERY_MS = 1_000;

export interface EpochsOptions {
	readonly membership: Membership;
	readonly rpc: RpcNode<MachinePrincipal>;
	readonly clock: Clock;
	readonly logger: Logger;
}

export class Epochs {
	readonly #options: EpochsOptions;
	readonly #subscriptions: Disposable[];
	readonly #service: AsyncDisposable;
	readonly #intake: Intake<PeekedRecord<'mesh-epoch'>, boolean>;
	#stopAsking: (() => void) | undefined;
	#closed = false;

	constructor(options: EpochsOptions) {
		const { membership, rpc } = options;
		this.#options = options;
		this.#intake = createEpochIntake(membership);
		this.#service = rpc.services.serve(MachineMeshApi, {
			epoch: () => ({ epoch: membership.trust.epoch.envelope }),
			renew: (_, { principal }) => {
				const nowMs = options.clock.nowMs();
				const machine = membership.trust.machine(principal.machineId, nowMs);
				if (machine === undefined)
					throw new MeshError('unauthorized', 'the caller’s certificate is not valid any more');
				options.logger.info('renewing a certificate', { of: principal.machineId });
				return { credential: renew(membership, machine, nowMs) };
			},
			keyring: () => {
				const [newest] = membership.keyrings;
				return membership.keyringMissing || newest === undefined ? {} : { keyring: newest };
			},
		});
		this.#subscriptions = [
			rpc.services.onNotify(EPOCH_CHANNEL, (envelope, { principal }) => this.#take(envelope, principal.machineId)),
			rpc.onSession((session) => void this.#onSession(session)),
			membership.trust.onEpoch(({ envelope, body }) => {
				options.logger.info('new epoch of the mesh', { seq: body.seq, revoked: body.revoked.length });
				for (const session of rpc.sessions()) session.notify(EPOCH_CHANNEL, envelope);
				this.#ask();
			}),
		];
		this.#ask();
	}

	close(): void {
		this.#closed = true;
		this.#stopAsking?.();
		for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
		void this.#service[Symbol.asyncDispose]();
	}

	async #onSession(session: Session<MachinePrincipal>): Promise<void> {
		if (session.principal.epoch <= this.#options.membership.trust.epoch.body.seq) return;
		try {
			const { epoch } = await session.caller(MachineMeshApi).epoch({}, { timeout: CALL_MS });
			this.#take(epoch, session.principal.machineId);
		} catch (error) {
			this.#options.logger.debug('a newer epoch was not received', { from: session.remote, error });
		}
	}

	#take(envelope: Uint8Array, from: MachineId): void {
		const admitted = this.#intake.admit(envelope, from, this.#options.clock.nowMs());
		if (admitted.verdict === 'reject') this.#options.logger.warn('epoch refused', { from, error: admitted.error });
	}

	/** Asks one neighbour after another for the secrets of our epoch, until they are here. */
	#ask(): void {
		const { membership, rpc, clock, logger } = this.#options;
		this.#stopAsking?.();
		if (this.#closed || !membership.keyringMissing) return;
		for (const session of rpc.sessions()) {
			session
				.caller(MachineMeshApi)
				.keyring({}, { timeout: CALL_MS })
				.then(({ keyring }) => {
					if (keyring !== undefined) membership.offerKeyring(keyring);
				})
				.catch((error: unknown) => logger.debug('no keyring from this host', { from: session.remote, error }));
		}
		this.#stopAsking = clock.after(ASK_EVERY_MS, () => this.#ask());
	}
}

/** An epoch holds until there is a newer one, so it has neither time nor nonce: its number tells news from replays. */
export function createEpochIntake(membership: Membership): Intake<PeekedRecord<'mesh-epoch'>, boolean> {
	const { trust, meshId } = membership;
	return new Intake(
		{
			what: 'the epoch',
			bytesMax: LIMITS.recordBytesMax,
			rate: { perMinute: 60, burst: 30 },
			checks: { perMinute: 30, burst: 10 },
			decode: (envelope) => {
				const claimed = peekRecord('mesh-epoch', envelope);
				if (claimed.body.mesh !== meshId) throw new MeshError('unauthorized', 'the epoch is of another mesh');
				return claimed;
			},
			claim: ({ body }) => ({ sender: body.mesh, account: body.mesh }),
			// A second one of our number is looked at: it would prove that the root key is misused.
			isNews: ({ body, cid }) => body.seq >= trust.epoch.body.seq && cid !== trust.epoch.cid,
			verify: ({ envelope }) => membership.offerEpoch(envelope),
		},
		0,
	);
}
