/**
 * Certificates renew themselves: at half life a machine asks its neighbours, and any that holds a delegation of the root
 * signs a new one for the same machine, keys, labels and serial. A machine that finds none in time says so, louder.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { MACHINE_CERT_TTL_MS, type OpenedMachine, openRecord, renewMachine, requireValid } from '@beemesh/sdk/identity';
import type { RpcNode, Session } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import { type Alarm, type Clock, createAlarm } from './clock.ts';
import type { Membership } from './membership.ts';
import { MachineMeshApi } from './mesh-api.ts';

const CALL_MS = 5_000;
/** Pause after nobody could renew it. */
const AGAIN_MS = 10 * 60_000;
/** With less than this left of a certificate, that nobody renews it is an error and not a warning. */
const URGENT_MS = 3 * 24 * 3_600_000;

export interface RenewalOptions {
	readonly membership: Membership;
	readonly rpc: RpcNode<unknown>;
	readonly clock: Clock;
	readonly logger: Logger;
}

export class Renewal {
	readonly #options: RenewalOptions;
	readonly #alarm: Alarm;
	readonly #sessions: Disposable;
	#closed = false;

	constructor(options: RenewalOptions) {
		this.#options = options;
		this.#alarm = createAlarm(options.clock, () => void this.#renew());
		this.#alarm.set(this.#dueMs());
		// One that was away for long begins overdue, and with nobody to ask.
		this.#sessions = options.rpc.onSession((session) => {
			if (options.clock.nowMs() >= this.#dueMs()) void this.#ask(session);
		});
	}

	close(): void {
		this.#closed = true;
		this.#sessions[Symbol.dispose]();
		this.#alarm.set(undefined);
	}

	#dueMs(): number {
		const { nbf, exp } = this.#options.membership.self;
		return nbf + (exp - nbf) / 2;
	}

	async #renew(): Promise<void> {
		const { membership, rpc, clock, logger } = this.#options;
		for (const session of rpc.sessions()) if (await this.#ask(session)) return;
		if (this.#closed) return;
		const leftMs = membership.self.exp - clock.nowMs();
		const say = leftMs < URGENT_MS ? logger.error : logger.warn;
		say.call(logger, 'nobody here can renew this machine’s certificate: enrol it again with `beectl mesh enroll`', {
			expires: new Date(membership.self.exp).toISOString(),
		});
		this.#alarm.set(clock.nowMs() + AGAIN_MS);
	}

	/** True when our certificate has been renewed. */
	async #ask(session: Session<unknown>): Promise<boolean> {
		const { membership, clock, logger } = this.#options;
		if (this.#closed) return true;
		try {
			const { credential } = await session.caller(MachineMeshApi).renew({}, { timeout: CALL_MS });
			membership.renewed(credential, clock.nowMs());
		} catch (error) {
			logger.debug('no renewal from this host', { from: session.remote, error });
			return false;
		}
		logger.info('certificate renewed', { by: session.remote, expires: new Date(membership.self.exp).toISOString() });
		this.#alarm.set(this.#dueMs());
		return true;
	}
}

/** What a neighbour asks of us. Throws `not_found` when this machine holds no delegation that covers it now. */
export function renew(membership: Membership, machine: OpenedMachine, nowMs: number): Uint8Array {
	const { enroller: envelope } = membership.bundle;
	if (envelope === undefined) throw new MeshError('not_found', 'this host renews no certificates');
	const { body } = openRecord('enroller', envelope, [membership.trust.mesh.body.rootKey]);
	requireValid('the delegation of this host', body, nowMs);
	const { serial } = machine.cert;
	if (serial < body.serialMin || serial > body.serialMax)
		throw new MeshError('not_found', `this host may not renew certificate ${serial}`);
	const term = { nbf: nowMs, exp: Math.min(nowMs + MACHINE_CERT_TTL_MS, body.exp) };
	return renewMachine(machine, { delegation: envelope, signer: membership.keys.signer }, term);
}
