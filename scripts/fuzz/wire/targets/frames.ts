/** Calls between peers: frames, hellos, failures, and the inputs and outputs of every contract, as their receivers read them. */
import { HostApi } from '../../../../hostd/src/api/contract.ts';
import { MachineApi } from '../../../../hostd/src/mesh/contract.ts';
import { MachineMeshApi } from '../../../../hostd/src/mesh/mesh-api.ts';
import { PeerApi } from '../../../../sdk/src/discovery/peer-api.ts';
import { MeshError } from '../../../../sdk/src/errors.ts';
import { peekRecord } from '../../../../sdk/src/identity/index.ts';
import { PodApi } from '../../../../sdk/src/replicas/pod-api.ts';
import { CallsIn } from '../../../../sdk/src/streams/rpc/calls-in.ts';
import { type AnyMethod, contract, rpc } from '../../../../sdk/src/streams/rpc/contract.ts';
import { decodeFailure, encodeFailure } from '../../../../sdk/src/streams/rpc/failure.ts';
import { encodeMessage, FRAME, MessageDecoder } from '../../../../sdk/src/streams/rpc/frames.ts';
import {
	decodeHello,
	decodeNotify,
	decodeText,
	encodeHello,
	encodeNotify,
	encodeText,
} from '../../../../sdk/src/streams/rpc/handshake.ts';
import { decodeBody, encodeBody } from '../../../../sdk/src/streams/rpc/msgpack.ts';
import { Outbox } from '../../../../sdk/src/streams/rpc/outbox.ts';
import { ServiceRegistry } from '../../../../sdk/src/streams/rpc/services.ts';
import { validate } from '../../../../sdk/src/streams/rpc/validate.ts';
import type { ByteStream } from '../../../../sdk/src/streams/transport.ts';
import { concat } from '../../../../sdk/src/wire/bytes.ts';
import { AWARD_ID, type Corpus, NOW_MS } from '../corpus.ts';
import { codes, MADE_OF_NOTHING, type Target } from '../target.ts';

const refuses = codes('invalid_input', 'invalid_output', 'conflict');

export function frameTargets(corpus: Corpus): Target[] {
	return [...frames(), ...bodies(), calls(), ...contracts(corpus)];
}

function frames(): Target[] {
	const body = encodeBody({ hello: 'frames', bytes: new Uint8Array(40) });
	const sample = concat(
		...encodeMessage(FRAME.call, 1, body),
		...encodeMessage(FRAME.item, 3, new Uint8Array(70_000).fill(1)),
		...encodeMessage(FRAME.ping, 2, new Uint8Array(0)),
	);
	const instance = new Uint8Array(8).fill(3);
	const of = (name: string, samples: readonly Uint8Array[], again: (bytes: Uint8Array) => Uint8Array): Target => ({
		...{ name, weight: 10, form: 'bytes', samples, refuses },
		accept: (bytes) => ({ canonical: again(bytes) }),
	});
	return [
		{
			...{ name: 'frames', weight: 30, form: 'bytes', refuses },
			samples: [concat(...encodeMessage(FRAME.call, 1, body), ...encodeMessage(FRAME.goodbye, 0, body)), sample],
			accept(bytes) {
				const decoder = new MessageDecoder(100_000);
				const half = bytes.byteLength >>> 1;
				for (const chunk of [bytes.subarray(0, half), bytes.subarray(half)])
					decoder.push(chunk, ({ type }) => type !== FRAME.goodbye);
				return MADE_OF_NOTHING;
			},
		},
		of('hello', [encodeHello(instance, new Uint8Array(30))], (bytes) => {
			const { instance: name, hello } = decodeHello(bytes);
			return encodeHello(Buffer.from(name, 'hex'), hello);
		}),
		{
			...{ name: 'notification', weight: 10, form: 'bytes', samples: [encodeNotify('mesh-epoch', body)], refuses },
			accept(bytes) {
				decodeNotify(bytes);
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'text', weight: 4, form: 'bytes', samples: [encodeText('goodbye')], refuses },
			accept(bytes) {
				decodeText(bytes);
				return MADE_OF_NOTHING;
			},
		},
	];
}

function bodies(): Target[] {
	const value = {
		text: 'a',
		number: 1.5,
		big: 2n ** 60n,
		bytes: new Uint8Array(3),
		at: new Date(NOW_MS),
		list: [null, true],
	};
	const failure = encodeFailure(new MeshError('conflict', 'no', { details: { rule: 'era' }, peer: 'somebody' }));
	return [
		{
			...{ name: 'msgpack', weight: 60, form: 'msgpack', samples: [encodeBody(value), failure], refuses },
			accept: () => ({ again: (input) => encodeBody(decodeBody(input)) }),
		},
		{
			...{ name: 'failure', weight: 20, form: 'msgpack', samples: [failure], refuses },
			accept(bytes) {
				const error = decodeFailure(bytes, 'local');
				encodeFailure(error);
				return MADE_OF_NOTHING;
			},
		},
	];
}

const echo = rpc({ input: HostApi.methods.end.input, output: HostApi.methods.end.output });
const Echo = contract('test.echo', '1.0.0', { echo });

/** A call as it comes in, up to its answer. */
function calls(): Target {
	const services = new ServiceRegistry<string>();
	services.serve(Echo, { echo: async () => ({ hostsReached: 1 }) });
	const stream: ByteStream = {
		write: () => true,
		drained: async () => undefined,
		source: (async function* () {})(),
		close: async () => undefined,
		abort: () => undefined,
		onClose: () => undefined,
	};
	const call = encodeBody(['test.echo@1', 'echo', 0, { trace: 'x' }, { end: new Uint8Array(30) }]);
	return {
		...{ name: 'incoming call', weight: 20, form: 'msgpack', refuses },
		samples: [call],
		accept(bytes) {
			const outbox = new Outbox(stream, () => undefined);
			const incoming = new CallsIn<string>({ outbox, remote: 'local', services, principal: () => 'somebody' });
			incoming.receive({ type: FRAME.call, id: 1, body: bytes });
			incoming.receive({ type: FRAME.item, id: 1, body: bytes });
			incoming.lose(undefined);
			return MADE_OF_NOTHING;
		},
	};
}

/** Valid values of the methods' inputs and outputs that carry more than a field or two. */
function valuesOf(corpus: Corpus): readonly (readonly [string, AnyMethod, 'input' | 'output', unknown])[] {
	const { records, keyring, machineId, wid, ownerId, epochs, credential, charter, bundle } = corpus;
	const { body: presence } = peekRecord('presence', records.presence);
	const { body: award } = peekRecord('award', records.award);
	const { body: epoch } = peekRecord('epoch', records.epoch);
	const replicaId = corpus.replica.peer.peerId;
	const members = [{ replicaId, slot: 0, gen: 1, addresses: ['/ip4/192.0.2.1'] }];
	const sealed = new Uint8Array(100);
	const papers = { csr: records.csr, cert: records['replica-cert'], statement: records['host-statement'] };
	const pod = {
		...{ podId: 'p', name: 'web-1', namespace: 'default', kind: 'Deployment', workload: 'web', wid, owner: ownerId },
		...{ slot: 1, gen: 1, award, phase: 'Running', reason: '', ready: true, role: '', replicaId, restarts: 0 },
		...{ createdAtMs: NOW_MS, machineId, machineName: 'attic', image: 'web:1', era: 1, pids: [1] },
		...{ endpoints: [{ name: 'http', protocol: 'tcp', address: '192.0.2.1:80', containerPort: 80 }] },
		...{ manifestCid: charter.body.manifestCid },
	};
	const workloads = [{ wid, charter: bundle.charter, manifest: bundle.manifest, pods: [pod] }];
	const bid = { tenderId: AWARD_ID, score: 0.5, slotsOffered: 2, reason: 'memory', validForMs: 5_000 };
	const generations = [[1, 2]];
	const awarded = { type: 'awarded', slot: 1, gen: 1, machineId, awardId: AWARD_ID, credential };
	const host = HostApi.methods;
	return [
		['host epoch', host.meshEpoch, 'input', { epoch: records['mesh-epoch'], keyring: sealed }],
		['host hosts', host.hosts, 'output', { hosts: [presence] }],
		['host inventory', host.inventory, 'output', { workloads }],
		['host charter', host.charter, 'input', { charter: bundle.charter, manifest: bundle.manifest }],
		['host end', host.end, 'input', { end: records['workload-end'] }],
		['host place', host.place, 'output', awarded],
		['host deliver', host.deliver, 'input', { awardId: AWARD_ID, sealed }],
		[
			...(['host admit', host.admit, 'input'] as const),
			{ awardId: AWARD_ID, csrCid: corpus.csr.cid, answer: { admitted: true, sealed, members, foundingSlots: 0 } },
		],
		['machine tender', MachineApi.methods.tender, 'input', { tender: records.tender }],
		['machine bid', MachineApi.methods.bid, 'input', bid],
		['machine award', MachineApi.methods.award, 'input', { award: records.award, sealed }],
		[
			...(['machine admission', MachineApi.methods.admission, 'input'] as const),
			{ awardId: AWARD_ID, papers: sealed, statement: records['host-statement'] },
		],
		['machine keyring', MachineMeshApi.methods.keyring, 'output', { keyring }],
		[
			...(['peer cosign', PeerApi.methods.cosign, 'input'] as const),
			{ epoch, certs: [epochs.cert], papers: { ...papers, credential } },
		],
		['peer share', PeerApi.methods.share, 'input', { charter: bundle.charter, manifest: bundle.manifest, generations }],
		['pod join', PodApi.methods.join, 'output', { sealed, members, foundingSlots: 3 }],
		['pod resolve', PodApi.methods.resolve, 'output', { found: [{ wid, members }] }],
	];
}

function contracts(corpus: Corpus): Target[] {
	return valuesOf(corpus).map(([name, method, side, value]): Target => {
		const code = side === 'input' ? 'invalid_input' : 'invalid_output';
		return {
			...{ name: `contract ${name}`, weight: 8, form: 'msgpack', samples: [encodeBody(value)], refuses },
			async accept(bytes) {
				await validate(method[side], decodeBody(bytes), code, name);
				return MADE_OF_NOTHING;
			},
		};
	});
}
