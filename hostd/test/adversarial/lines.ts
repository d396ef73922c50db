/**
 * What an adversary may try, line by line as the design lists it, and the tests that it is refused by. `lines.spec.ts`
 * fails for a line without a test and for a test that is not there; `npm run test:adversarial` runs them all.
 */

/** `[file, title]`; the title as it is written in the file, with `…` for a part that is filled in. */
type Test = readonly [file: string, title: string];

export interface Line {
	readonly line: string;
	readonly tests: readonly Test[];
}

const suite = 'sdk/src/identity/suite/test/suite.spec.ts';
const records = 'sdk/src/identity/test/records.spec.ts';
const machine = 'sdk/src/identity/test/machine.spec.ts';
const machineTrust = 'sdk/src/identity/test/machine-trust.spec.ts';
const meshBundle = 'sdk/src/identity/test/mesh-bundle.spec.ts';
const awardBundle = 'sdk/src/identity/test/award-bundle.spec.ts';
const rules = 'sdk/src/identity/epochs/test/rules.spec.ts';
const forks = 'sdk/src/identity/epochs/test/forks.spec.ts';
const handshake = 'sdk/src/streams/session/test/handshake.spec.ts';
const limits = 'sdk/src/streams/session/test/limits.spec.ts';
const sessionRecords = 'sdk/src/streams/session/test/records.spec.ts';
const phases = 'sdk/src/streams/session/test/phases.spec.ts';
const secureStream = 'sdk/src/streams/session/test/secure-stream.spec.ts';
const libp2p = 'sdk/src/streams/libp2p/test/sessions.spec.ts';
const floods = 'sdk/src/streams/libp2p/test/floods.spec.ts';
const driver = 'sdk/src/replicas/test/driver.spec.ts';
const dagCbor = 'sdk/src/wire/dag-cbor.spec.ts';
const wire = 'sdk/src/wire/wire.spec.ts';
const msgpack = 'sdk/src/streams/rpc/msgpack.spec.ts';
const intake = 'hostd/src/mesh/intake.spec.ts';
const gate = 'hostd/src/scheduler/gate.spec.ts';
const cluster = 'hostd/src/scheduler/test/cluster.spec.ts';
const admissions = 'hostd/src/scheduler/core/admissions.spec.ts';
const replay = 'hostd/src/mesh/core/replay.spec.ts';
const gossip = 'hostd/src/mesh/test/gossip.spec.ts';
const machineDht = 'hostd/src/mesh/test/dht.spec.ts';
const owners = 'hostd/src/api/test/owner-sessions.spec.ts';
const policy = 'hostd/src/policy/test/host-policy.spec.ts';
const hostPaths = 'hostd/src/policy/test/host-paths.spec.ts';
const policyFile = 'hostd/src/policy/test/policy-file.spec.ts';
const runtimes = 'hostd/src/runtime/test/contract.ts';
const hostSocket = 'hostd/test/e2e/host-policy.spec.ts';
const yaml = 'beectl/src/manifests/test/yaml.spec.ts';
const strangers = 'hostd/test/adversarial/strangers.spec.ts';

export const LINES: readonly Line[] = [
	{
		line: 'flip each byte of body, key, signature',
		tests: [
			[records, 'are refused when any byte is flipped or cut off'],
			[suite, 'are refused with one bit flipped in any part of signature, key, message or context'],
			[gate, 'rejects each flipped byte and each cut, and remains ready for the true one'],
			[machine, 'is refused when any byte of it was changed'],
			[machine, 'is refused with any byte flipped'],
			[rules, 'signers: a signature of another epoch, or with any byte flipped'],
		],
	},
	{ line: 'drop or mix signature halves', tests: [[suite, 'need both halves of one signer over one message']] },
	{ line: 'one record type presented as another', tests: [[records, 'never open as another type']] },
	{
		line: 'certificate from another mesh',
		tests: [
			[machine, 'is of one mesh, though the same root key signed for another'],
			[handshake, 'refuses a certificate that names another peer, is expired, or of another root'],
			[strangers, 'a certificate of another mesh'],
			[strangers, 'a certificate of another mesh under the same root key'],
		],
	},
	{
		line: 'certificate expired',
		tests: [
			[machine, 'holds from 30 s before its beginning to its very end'],
			[secureStream, 'asks about certificates again by itself: one that expires ends its session'],
			[strangers, 'an expired certificate'],
		],
	},
	{
		line: 'certificate not yet valid',
		tests: [
			[machine, 'holds from 30 s before its beginning to its very end'],
			[strangers, 'a certificate that is not valid yet'],
		],
	},
	{
		line: 'certificate escalated',
		tests: [
			[machine, 'is nothing without the root’s signature: not a machine’s own, nor another machine’s'],
			[machine, 'is within the delegation: serials, time, mesh, and the key that it names'],
			[machine, 'adds nobody: an enroller cannot certify a machine, nor lend one machine’s renewal to another'],
			[machine, 'cannot be passed on: a delegation of an enroller is none'],
			[strangers, 'a certificate of a hundred years'],
			[strangers, 'a certificate that its holder has signed'],
			[strangers, 'a machine that an enroller has certified'],
		],
	},
	{
		line: 'truncation at every length, trailing bytes',
		tests: [
			[records, 'are refused when any byte is flipped or cut off'],
			[records, 'are refused with trailing bytes, a second signature, or a field more'],
			[handshake, 'refuses every truncation, and trailing bytes'],
			[sessionRecords, 'cut short leave the splitter away from a boundary at every length'],
			[secureStream, 'tell truncation from an end: a stream that ends below without saying so inside has failed'],
		],
	},
	{
		line: 'non-canonical CBOR',
		tests: [
			[wire, 'are refused when not canonical: unsorted keys, long integers, duplicate keys, indefinite lengths'],
			[
				dagCbor,
				'refuses indefinite lengths, other tags than links, floats that are no numbers, and names of prototypes',
			],
			[intake, 'rejects what is too large, not canonical, or cut at any length'],
		],
	},
	{
		line: 're-addressed or re-signed envelopes',
		tests: [
			[records, 'are refused with a signature over the body alone, or of another type'],
			[meshBundle, 'is opened by no other, also one that renames it'],
			[awardBundle, 'is opened by no other machine, under no other award, and not when a byte of it is another'],
			[cluster, 'for another machine cannot be opened by the winner'],
		],
	},
	{
		line: 'non-reduced ML-KEM key, low-order X25519',
		tests: [
			[suite, 'refuses keys that are not reduced, of low order, or of wrong length'],
			[handshake, 'refuses a KEM key that is not reduced, or of low order, with the same generic error'],
		],
	},
	{
		line: 'corrupt KEM ciphertext (one generic error)',
		tests: [
			[suite, 'fails in one way, whatever was tampered with'],
			[suite, 'gives an unrelated secret for a ciphertext of somebody else, or with one bit flipped'],
		],
	},
	{
		line: 'stripped suites, unknown version',
		tests: [
			[handshake, 'notices a stripped cipher: the list is under the gate'],
			[handshake, 'refuses another version, and says so'],
			[handshake, 'refuses unknown ciphers after the gate, and says so'],
		],
	},
	{
		line: 'ts at ±30.000 s accepted, ±30.001 s not',
		tests: [
			[records, 'count as fresh within 30.000 s and not at 30.001 s'],
			[gate, 'accepts ±30.000 s and not ±30.001 s'],
			[intake, 'accepts ±30.000 s and not ±30.001 s, and nothing said before the start'],
			[rules, 'time: an epoch is 30.000 s ahead of the clock at most'],
			[rules, 'time: an epoch is not before the one it follows'],
		],
	},
	{
		line: 'replay by another relay or topic, and right after a restart',
		tests: [
			[gate, 'lets a tender in once'],
			[gate, 'takes nothing signed before this host started'],
			[cluster, 'refuses a tender that was used before'],
			[
				'sdk/src/identity/test/group-seal.spec.ts',
				'do not open under another key, for another topic, or when a bit of them is another',
			],
			[replay, 'knows a nonce for 5.5 minutes, per sender'],
		],
	},
	{
		line: 'nonce floods',
		tests: [
			[replay, 'refuses a sender whose memory is full, keeps every live nonce, and leaves others alone'],
			[replay, 'refuses new senders when it knows too many, until the old ones are forgotten'],
			[gate, 'lets no forgery spend the rate of another'],
		],
	},
	{
		line: 'older or equal sequence, other CID; jump to 2⁶⁴−1',
		tests: [
			[machineTrust, 'go forward only, skipping what was missed'],
			[machineTrust, 'are a conflict when the root signed two of one number'],
			['sdk/src/streams/libp2p/dht-store.spec.ts', 'keeps the newest record of a key, and one of each number'],
			['sdk/src/discovery/test/workload-dht.spec.ts', 'have numbers of this day'],
			[wire, 'have no number beyond 2⁵³−1, and none that jumps there from 2⁶⁴−1'],
		],
	},
	{
		line: 'length 0xFFFFFFFF, million-element arrays',
		tests: [
			[dagCbor, 'believes no length that is not there'],
			[dagCbor, 'takes no million of values, whatever the limit of bytes'],
			[msgpack, 'believe no length that is not there'],
			[msgpack, 'nest 64 levels and not more, and hold no million of values'],
			[sessionRecords, 'with an impossible length or type are refused from the header alone'],
		],
	},
	{
		line: 'relayed, reflected, role-swapped handshakes',
		tests: [
			[handshake, 'refuses a handshake relayed by somebody in the middle'],
			[handshake, 'refuses reflection: M1 and M2 sent back to their senders'],
			[handshake, 'refuses swapped roles: what the responder sealed is not what an initiator seals'],
			[handshake, 'refuses a peer that answers itself where no peer IDs tell'],
			[owners, 'another machine of the mesh in place of the one that was asked for'],
		],
	},
	{
		line: 'reordered, dropped, duplicated records',
		tests: [
			[sessionRecords, 'are refused reordered, dropped or duplicated'],
			[libp2p, 'refuse a flipped bit in any stream, and end the connection'],
			[owners, '…, later'],
		],
	},
	{
		line: 'data across rekey limits; withheld rekey',
		tests: [
			[secureStream, 'lose and double nothing over hundreds of phases, and use no nonce twice'],
			[phases, 'withheld stops data at 1 GiB + 1 MiB, on both sides'],
			[phases, 'withheld by the responder, the initiator or in part ends the session after 61 minutes'],
		],
	},
	{
		line: 'resumption reused, after epoch change, after 10 min',
		tests: [
			[handshake, 'does not work a second time: a copied ticket gives a full handshake'],
			[handshake, 'ends after ten minutes, and with the epoch'],
			[handshake, 'is of one peer: another that names the ticket gets a full handshake, and does not use it up'],
			[handshake, 'is refused to a peer that was revoked since, on either side'],
		],
	},
	{
		line: '1,000 half-open handshakes',
		tests: [
			[limits, 'keep 1,000 half-open handshakes to 64, and let a good peer in'],
			[floods, '1,000 half-open QUIC connections: few handshakes wait, the rest is hung up on, and a member gets in'],
		],
	},
	{
		line: 'workload credential on a machine protocol',
		tests: [
			[strangers, 'a replica’s certificate at a machine’s door'],
			[strangers, 'the work plane at a machine’s door'],
			[handshake, 'refuses another pre-shared key, plane or domain before any asymmetric operation'],
		],
	},
	{
		line: 'machine credential on a workload protocol',
		tests: [
			['hostd/test/adversarial/replicas.attack.ts', 'a machine’s certificate at a replica’s door'],
			[owners, 'a machine’s identity on the owners’ door'],
		],
	},
	{
		line: 'award for A used for B',
		tests: [
			[cluster, 'of another workload than the tendered one is refused by the winner'],
			[cluster, 'for another award is refused by the winner'],
			[driver, 'refuses a pod of … than the awarded one'],
		],
	},
	{
		line: 'award for another slot',
		tests: [[driver, 'refuses a pod of … than the awarded one']],
	},
	{
		line: 'award on another machine',
		tests: [
			[cluster, 'refuses a request of another manifest, by another host, or on an unknown award'],
			[awardBundle, 'is opened by no other machine, under no other award, and not when a byte of it is another'],
		],
	},
	{
		line: 'award at 121 s',
		tests: [
			[admissions, 'refuses an award that is not live or has expired, and forgets it then'],
			['hostd/src/scheduler/core/requester.spec.ts', 'lets an award expire after 120 s without admission'],
		],
	},
	{
		line: 'award with a second CSR',
		tests: [
			[admissions, 'refuses another request on the same award'],
			[cluster, 'refuses another request on the same award'],
			[driver, 'gives the same request the same answer, and refuses a second request under one award'],
		],
	},
	{
		line: 'digest outside the charter',
		tests: [
			[policy, 'refuses an image by …'],
			[runtimes, 'keeps out an image that its workload’s charter does not name'],
		],
	},
	{
		line: 'stateful replica certifying alone',
		tests: [
			[rules, 'the majority of a StatefulSet, whatever its charter says'],
			['hostd/test/adversarial/replicas.attack.ts', 'certifies alone'],
		],
	},
	{
		line: 'slot beyond the maximum',
		tests: [
			[rules, 'slots: none at the charter’s maximum or beyond, in links as in certificates of the owner’s'],
			['hostd/test/adversarial/replicas.attack.ts', 'asks the others to sign …'],
		],
	},
	{
		line: 'evicted replica with an unexpired certificate',
		tests: [
			['hostd/test/adversarial/replicas.attack.ts', 'is out with its certificate unexpired, and writes nothing more'],
			[rules, 'signers: a stranger, the newcomer itself, somebody who is out, or a member with a stranger'],
			[secureStream, 'says who is there, and ends the sessions of whoever was revoked'],
		],
	},
	{
		line: 'two survivors admitting one slot',
		tests: [
			[forks, 'of two as long the one whose head has the lower CID holds, on both sides'],
			[forks, 'whoever lost its place is let in again with the certificate it has'],
			[rules, 'slots: none twice, none out of order, none both taken and vacant'],
		],
	},
	{
		line: '`a.b`/`axb`, case and homoglyph names',
		tests: [
			[wire, 'are lower case letters, digits and dashes: no case, no dots, no letters that look alike'],
			[hostPaths, 'takes no letter of an allowed path for a pattern, nor another that looks like it'],
		],
	},
	{
		line: 'PSK without certificate and the reverse',
		tests: [
			[strangers, 'the mesh’s pre-shared key without a certificate'],
			[strangers, 'a certificate without the mesh’s pre-shared key'],
		],
	},
	{
		line: 'subscription, GRAFT, PRUNE floods and 4 MiB messages',
		tests: [
			[gossip, 'takes no subscriptions to topics that there are not, nor messages on them'],
			[gossip, 'expels one that floods: GRAFT and PRUNE, oversize messages'],
			[gossip, 'asks for nothing of more than 256 announced messages, and blames one that never delivers'],
		],
	},
	{
		line: '50 Sybils near a key',
		tests: [
			[machineDht, 'knows none of 50 Sybils near a key: nobody is in its table, or dialed, who showed no certificate'],
			[machineDht, 'keeps leases of machines of the mesh under their own keys, and nothing else'],
		],
	},
	{
		line: 'RSA-8192 peers',
		tests: [
			[floods, 'talks to no peer of an RSA key'],
			['sdk/src/streams/libp2p/gate.spec.ts', 'knows peers of Ed25519 keys only, whoever dials'],
		],
	},
	{
		line: 'YAML alias bomb, 100k nesting, duplicate keys, `__proto__`, `1e999`',
		tests: [
			[yaml, 'has no aliases, so that nothing can grow'],
			[yaml, 'is bounded in depth, documents and bytes'],
			[yaml, 'refuses names that JavaScript would take for its own'],
			[yaml, 'names the place of what is malformed'],
			['sdk/src/replicas/core/test/requirements.spec.ts', 'refuses … and names the field'],
		],
	},
	{
		line: 'every pod-policy row',
		tests: [
			[policy, '…, naming the field in the workload'],
			[hostPaths, 'refuses …'],
			[runtimes, 'keeps out …'],
		],
	},
	{
		line: 'socket modes, TCP binds, foreign Origin, another uid',
		tests: [
			[hostSocket, 'has its socket 0600 in a folder 0700, and no TCP listener'],
			[hostSocket, 'lets no other user connect: not into the folder, and not to the socket in an open one'],
			[
				'sdk/src/streams/test/socket.spec.ts',
				'do not live in a directory of another user, though it is closed to the rest',
			],
			['hostd/src/api/test/preface.spec.ts', 'refuse …'],
			[floods, 'listens where it was told to, and nowhere else'],
		],
	},
	{
		line: 'a container reaching the Podman or daemon socket',
		tests: [
			[hostPaths, 'refuses …, even when it is allowed'],
			[policyFile, 'is protected from pods itself, and so are the folders of hostd'],
		],
	},
	{
		line: 'a host in between that changes, drops or repeats what an owner says',
		tests: [
			[owners, '…, in the handshake'],
			[owners, '…, later'],
			[owners, 'are relayed unread: nothing of what is said passes through the entry host in the clear'],
		],
	},
	{
		line: 'a captured host',
		tests: [
			['hostd/test/adversarial/captured-host.attack.ts', 'shows nothing of the workloads that it does not run'],
			['hostd/test/adversarial/captured-host.attack.ts', 'is refused by every other host within 5 s of its revocation'],
		],
	},
];
