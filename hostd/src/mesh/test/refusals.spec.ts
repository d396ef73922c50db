import { createNodeKeys } from '@beemesh/sdk/identity';
import type { RefusalReason, Refused } from '@beemesh/sdk/streams/libp2p';
import { createLogger, createMetrics } from '@beemesh/sdk/telemetry';
import type { PeerId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { systemClock } from '../clock.ts';
import type { Membership } from '../index.ts';
import { createRefusalLog } from '../refusals.ts';
import { createTestRoot } from './root.ts';
import { startInSuite } from './suite-hosts.ts';

const DAY_MS = 24 * 3_600_000;

interface Line {
	readonly level: string;
	readonly message: string;
	readonly [field: string]: unknown;
}

function recorder(nowMs: () => number) {
	const lines: Line[] = [];
	const refused = Promise.withResolvers<Line>();
	const logger = createLogger({
		...{ level: 'info', format: 'json', nowMs },
		sink: (text) => {
			const line = JSON.parse(text) as Line;
			lines.push(line);
			if (line.message.startsWith('refused')) refused.resolve(line);
		},
	});
	return { lines, refused: refused.promise, logger, metrics: createMetrics() };
}

describe('the log of refused peers', () => {
	function start() {
		let now = 0;
		const { lines, logger, metrics } = recorder(() => now);
		const log = createRefusalLog({ logger, metrics, clock: { nowMs: () => now } });
		const refuse = (remote: string, reason: RefusalReason): void =>
			log({ ...{ remote: remote as PeerId, address: '192.0.2.7', reason }, error: new Error('why') } satisfies Refused);
		return { lines, metrics, refuse, advance: (ms: number) => void (now += ms) };
	}

	it('names each peer with its reason once a minute, and says how often it was since', () => {
		const { lines, metrics, refuse, advance } = start();
		for (let i = 0; i < 5; i++) refuse('peer-1', 'psk');
		refuse('peer-1', 'revoked');
		refuse('peer-2', 'psk');
		expect(lines.map(({ peer, reason }) => `${peer} ${reason}`)).to.deep.equal([
			'peer-1 psk',
			'peer-1 revoked',
			'peer-2 psk',
		]);
		expect(lines[0]).to.include({ level: 'warn', address: '192.0.2.7', error: 'why' });
		advance(60_000);
		refuse('peer-1', 'psk');
		expect(lines.at(-1)).to.include({ peer: 'peer-1', reason: 'psk', repeats: 4 });
		expect(metrics.render()).to.contain('beemesh_sessions_refused_total{reason="psk"} 7');
		expect(metrics.render()).to.contain('beemesh_sessions_refused_total{reason="revoked"} 1');
	});

	it('counts whom it does not name, however many peers there are', () => {
		const { lines, metrics, refuse, advance } = start();
		for (let i = 0; i < 10_000; i++) refuse(`peer-${i}`, 'mesh');
		expect(lines).to.have.length(257);
		expect(lines.at(-1)?.message).to.match(/more peers are refused/);
		expect(metrics.render()).to.contain('beemesh_sessions_refused_total{reason="mesh"} 10000');
		advance(60_000);
		refuse('peer-new', 'mesh');
		expect(lines.at(-1)).to.include({ peer: 'peer-new' });
	});
});

describe('a host that refuses', function () {
	this.timeout(20_000);
	const root = createTestRoot();
	const start = startInSuite();

	/** Who dials, and what of the host that is dialed makes it refuse. */
	const cases: Record<
		string,
		{ dialer: () => Membership; epoch?: (dialer: Membership) => Uint8Array; aheadMs?: number }
	> = {
		mesh: { dialer: () => createTestRoot('other').enrol() },
		psk: { dialer: () => root.enrol(createNodeKeys(), {}, { keyrings: [root.epoch(7).keyring] }) },
		revoked: { dialer: () => root.enrol(), epoch: ({ machineId }) => root.epoch(2, [machineId]).envelope },
		expired: { dialer: () => root.enrol(), aheadMs: 31 * DAY_MS },
		not_yet_valid: { dialer: () => root.enrol(), aheadMs: -DAY_MS },
	};

	for (const [reason, { dialer, epoch, aheadMs = 0 }] of Object.entries(cases)) {
		it(`says whom and why: ${reason}`, async () => {
			const { refused, logger, metrics } = recorder(Date.now);
			const membership = root.enrol();
			const nowMs = (): number => Date.now() + aheadMs;
			const host = await start({ name: 'host', membership, logger, metrics, clock: { ...systemClock, nowMs } });
			const other = await start({ name: 'other', membership: dialer() });
			const envelope = epoch?.(other.membership);
			if (envelope !== undefined) membership.offerEpoch(envelope);
			const { machineId } = host.node;
			const failed = await other.node.rpc.connect(machineId, { addresses: host.node.addresses() }).then(
				() => undefined,
				(error: Error) => error,
			);
			expect(failed).to.be.an('error');
			const line = await refused;
			expect(line).to.include({ level: 'warn', peer: other.node.machineId, address: 'loopback', reason });
			expect(line['error']).to.be.a('string').that.is.not.empty;
			expect(metrics.render()).to.match(new RegExp(`beemesh_sessions_refused_total\\{reason="${reason}"\\} \\d`));
		});
	}
});
