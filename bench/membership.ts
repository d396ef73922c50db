/**
 * What a newcomer pays to believe in a workload's membership: a chain of epochs, each signed by one member, none of them
 * seen before. The rival is the bare verification of as many signatures.
 * Usage: npm run bench -- membership [LINKS]
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { createEpochWorkload } from '../sdk/src/identity/epochs/test/workload.ts';
import {
	cidOf,
	createKeyPair,
	EpochChain,
	linkOf,
	signRecordPart,
	verifySignature,
} from '../sdk/src/identity/index.ts';
import { NOW_MS } from '../sdk/src/identity/test/fixtures.ts';
import { type EpochLink, type EpochRecord, encodeRecord, SLOTS_MAX } from '../sdk/src/wire/index.ts';

const LINKS = Number(process.argv[2] ?? 1000);

function measure(members: number) {
	const workload = createEpochWorkload({ slotsMax: SLOTS_MAX });
	const replicas = Array.from({ length: members }, (_, slot) => workload.replica(slot));
	const founding = workload.foundingLink(replicas);
	let body: EpochRecord = EpochChain.found(workload.charter, founding, NOW_MS).head.body;
	const links: EpochLink[] = [founding];
	for (let i = 0; i < LINKS; i++) {
		const signer = replicas[i % members];
		if (signer === undefined) throw new Error('a workload without members');
		body = { ...body, e: body.e + 1, prev: cidOf(encodeRecord(body)), ts: NOW_MS + i };
		links.push(linkOf({ body, certs: [] }, [signRecordPart('epoch', body, signer.keys.signer)]));
	}
	const bytes = links.flatMap(({ epoch, certs }) => [epoch, ...certs]).reduce((sum, part) => sum + part.byteLength, 0);
	const startMs = performance.now();
	EpochChain.from(workload.charter, links, NOW_MS + LINKS);
	return { tookMs: Math.round(performance.now() - startMs), bytes };
}

function bare(): number {
	const key = createKeyPair();
	const messages = Array.from({ length: LINKS }, (_, i) => new Uint8Array(1024).fill(i));
	const signatures = messages.map((message) => key.sign(message));
	const startMs = performance.now();
	for (const [i, message] of messages.entries())
		if (!verifySignature(key.publicKey, message, signatures[i] ?? new Uint8Array(0)))
			throw new Error('it does not hold');
	return Math.round(performance.now() - startMs);
}

const bareMs = bare();
console.log(`${LINKS} signatures alone: ${bareMs} ms`);
const chains: Record<number, ReturnType<typeof measure>> = {};
for (const members of [3, 16, 64]) {
	const { tookMs, bytes } = measure(members);
	chains[members] = { tookMs, bytes };
	console.log(`${members} members: ${LINKS} epochs judged in ${tookMs} ms, ${bytes} bytes`);
}
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
console.log(
	JSON.stringify({ bench: 'membership', links: LINKS, bareMs, chains, machine, node: process.version, commit }),
);
