/**
 * What a newcomer pays to believe in a workload's membership: a chain of epochs, each signed by one member, none of them
 * seen before. The rival is the bare verification of as many signatures.
 * Usage: npm run bench -- membership [LINKS]
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import {
	certifyOwn,
	cidOf,
	createKeyPair,
	createNodeKeys,
	createUlid,
	defaultAdmissionTerms,
	EpochChain,
	foundingEpoch,
	genesisFor,
	linkOf,
	openCsr,
	openRecord,
	ownerIdOf,
	requestAdmission,
	signRecord,
	signRecordPart,
	verifySignature,
	workloadIdOf,
} from '../sdk/src/identity/index.ts';
import { type EpochLink, type EpochRecord, encodeRecord, type MachineId, SLOTS_MAX } from '../sdk/src/wire/index.ts';

const LINKS = Number(process.argv[2] ?? 1000);
const NOW_MS = Date.now();
const owner = createKeyPair();
const wid = workloadIdOf(genesisFor(owner.publicKey, 'Deployment', 'default', 'web'));
const manifestCid = cidOf(new Uint8Array(1));
const machineId = createNodeKeys().peer.peerId as MachineId;
const charter = openRecord(
	'charter',
	signRecord(
		'charter',
		{
			...{ wid, owner: ownerIdOf(owner.publicKey), era: 1, kind: 'Deployment', namespace: 'default', name: 'web' },
			...{ ...defaultAdmissionTerms(SLOTS_MAX), manifestCid, replicas: SLOTS_MAX, deleted: false },
			...{ nbf: NOW_MS, exp: NOW_MS + 3_600_000 },
		},
		owner,
	),
);

/** Keys and certificate of a replica. */
function createReplica(slot: number) {
	const keys = createNodeKeys();
	const at = { wid, slot, gen: 1, incarnation: 0, awardId: createUlid(NOW_MS), addresses: [], ts: NOW_MS };
	const csr = openCsr(requestAdmission(keys, at).envelope);
	return { keys, cert: certifyOwn(charter.body, csr, { machineId, manifestCid }, keys.signer, NOW_MS) };
}

function measure(members: number) {
	const replicas = Array.from({ length: members }, (_, slot) => createReplica(slot));
	const certs = replicas.map(({ cert }) => cert);
	const draft = foundingEpoch(charter.body, certs, { tsMs: NOW_MS, groupKeyCommit: new Uint8Array(32) });
	const links: EpochLink[] = [linkOf(draft, [signRecordPart('epoch', draft.body, owner)])];
	let body: EpochRecord = draft.body;
	for (let i = 0; i < LINKS; i++) {
		const signer = replicas[i % members];
		if (signer === undefined) throw new Error('a workload without members');
		body = { ...body, e: body.e + 1, prev: cidOf(encodeRecord(body)), ts: NOW_MS + i };
		links.push(linkOf({ body, certs: [] }, [signRecordPart('epoch', body, signer.keys.signer)]));
	}
	const bytes = links.flatMap(({ epoch, certs }) => [epoch, ...certs]).reduce((sum, part) => sum + part.byteLength, 0);
	const startMs = performance.now();
	EpochChain.from(charter, links, NOW_MS + LINKS);
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
