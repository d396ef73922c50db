/** What a message costs that is rejected before any signature is checked. */
import { randomBytes } from 'node:crypto';
import { createNodeKeys } from '@beemesh/sdk/identity';
import { encodeRecord } from '@beemesh/sdk/wire';
import { openGossip, sealGossip } from '../../hostd/src/mesh/gossip-seal.ts';
import { topicsOf } from '../../hostd/src/mesh/node.ts';
import { createTestRoot } from '../../hostd/src/mesh/test/root.ts';
import { createTenderGate } from '../../hostd/src/scheduler/gate.ts';
import { createWorkload } from '../../hostd/src/scheduler/test/workload.ts';

const MESSAGES = 8_000;
const WARM_UP = 2_000;

/** The 99th percentile in milliseconds. */
export function junkCost(): number {
	const root = createTestRoot();
	const membership = root.enrol(createNodeKeys());
	const [topic = ''] = topicsOf(membership.meshId, []);
	const gate = createTenderGate({ startedAtMs: 0 });
	const workload = createWorkload();
	const old = workload.sign({ ...workload.tender(membership.machineId, [{ slot: 0, gen: 1 }]), ts: 1, exp: 2 });
	const list = encodeRecord(new Array(4_000).fill(0));
	const sealed = [new Uint8Array(60_000), list, old, old.subarray(0, 3_000)].map((data) =>
		sealGossip(membership, topic, data),
	);
	const messages = [new Uint8Array(randomBytes(60_000)), ...sealed];
	const tookMs: number[] = [];
	for (let i = 0; i < MESSAGES; i++) {
		const message = messages[i % messages.length] as Uint8Array;
		const startMs = performance.now();
		const opened = openGossip(membership, topic, message);
		if ('data' in opened) gate.admit(opened.data, undefined, Date.now());
		if (i > WARM_UP) tookMs.push(performance.now() - startMs);
	}
	tookMs.sort((a, b) => a - b);
	return tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN;
}
