/** Sessions (BMS/1): handshake messages, alone and met by the state machines, and the records of an established session. */
import { MeshError } from '../../../../sdk/src/errors.ts';
import {
	decodeVarint,
	encodeVarint,
	HandshakeGuard,
	type Pending,
	type PhaseEffect,
	Phases,
	RECORD,
	ReceiveLane,
	RecordSplitter,
	Responder,
	type Role,
	resolveLimits,
	resolveRekey,
	SendLane,
	type SuiteId,
} from '../../../../sdk/src/streams/session/core/index.ts';
import { contextOf, gateOf } from '../../../../sdk/src/streams/session/core/key-schedule.ts';
import {
	ALERT,
	type Alert,
	decodeAlert,
	decodeM1,
	decodeM2,
	decodeProof,
	decodeRetry,
	decodeSealed,
	encodeAlert,
	encodeM1,
	encodeM2Head,
	encodeProof,
	encodeRetry,
	encodeSealedHead,
	MESSAGE,
	typeOf,
} from '../../../../sdk/src/streams/session/core/messages.ts';
import { nodeCrypto } from '../../../../sdk/src/streams/session/crypto.ts';
import { Machine, Pair } from '../../../../sdk/src/streams/session/test/handshakes.ts';
import { concat } from '../../../../sdk/src/wire/bytes.ts';
import { type Accepted, codes, MADE_OF_NOTHING, type Target } from '../target.ts';

const refuses = codes('invalid_input', 'conflict', 'unauthorized');

export function sessionTargets(): Target[] {
	return [...messages(), ...handshakes(), records(), ...controls()];
}

/** Each message has one encoding: what is read and written again is what came. */
function message(name: string, samples: readonly Uint8Array[], again: (bytes: Uint8Array) => Uint8Array): Target {
	return {
		...{ name: `session ${name}`, weight: 15, form: 'bytes', samples, refuses },
		accept: (bytes) => ({ canonical: again(bytes) }),
	};
}

function messages(): Target[] {
	const pair = new Pair();
	const [m1, m2, m3, m4] = pair.run().messages as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
	const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(length);
	const credential = { kind: 0, value: bytes(900) };
	const proof = concat(encodeProof({ credential, knows: 'bafyabc', signature: bytes(3373) }), bytes(32));
	const named = { kind: 1, value: new TextEncoder().encode('bafyabc') };
	const shortProof = concat(encodeProof({ credential: named, knows: '', signature: bytes(64) }), bytes(32));
	const typed = (message: Uint8Array, type: number): Uint8Array => {
		if (typeOf(message) !== type) throw new MeshError('invalid_input', 'another message');
		return message;
	};
	return [
		message('M1', [m1], (bytes) => {
			const decoded = decodeM1(typed(bytes, MESSAGE.m1));
			return concat(encodeM1(decoded), ...decoded.gates);
		}),
		message('M2', [m2], (bytes) => {
			const decoded = decodeM2(typed(bytes, MESSAGE.m2));
			return concat(encodeM2Head(decoded), decoded.sealed);
		}),
		message('M3', [m3, m4], (bytes) => {
			const isM3 = typeOf(bytes) === MESSAGE.m3;
			const sealed = decodeSealed(typed(bytes, isM3 ? MESSAGE.m3 : MESSAGE.m4), isM3 ? 'M3' : 'M4');
			return concat(encodeSealedHead(isM3 ? MESSAGE.m3 : MESSAGE.m4), sealed);
		}),
		message('proof', [proof, shortProof], (bytes) => {
			const decoded = decodeProof(bytes);
			return concat(encodeProof(decoded), decoded.finished);
		}),
		message('RETRY', [encodeRetry(bytes(32))], (bytes) => encodeRetry(decodeRetry(typed(bytes, MESSAGE.retry)))),
		message('alert', (Object.keys(ALERT) as Alert[]).map(encodeAlert), (bytes) =>
			encodeAlert(decodeAlert(typed(bytes, MESSAGE.alert))),
		),
		{
			...{ name: 'session stream number', weight: 4, form: 'bytes', refuses },
			samples: [0, 1, 63, 64, 16_384, 2 ** 30].map((n) => encodeVarint(n)),
			accept(bytes): Accepted {
				const decoded = decodeVarint(bytes);
				return decoded === undefined
					? {}
					: { canonical: concat(encodeVarint(decoded.value), bytes.subarray(decoded.length)) };
			},
		},
	];
}

/** Both state machines; the one that is met must not go on with what its peer has not sent. */
function handshakes(): Target[] {
	const pair = new Pair();
	const { messages } = pair.run();
	const [m1] = messages as [Uint8Array];
	const { gated } = decodeM1(m1);
	const { config } = pair.bob;
	const context = contextOf(config.protocol, config.remote, config.self);
	/** One that has never seen anything, so that no case depends on another. */
	const responder = (): Machine => {
		const guard = new HandshakeGuard(config.crypto, resolveLimits());
		const pending: Pending = { address: undefined, hasPassedGate: false, evict: () => undefined };
		guard.begin(pending);
		return new Machine(new Responder(config, guard.admissionOf(pending, config.remote ?? '')), config, pair);
	};
	const answered = (machine: Machine, bytes: Uint8Array): void => {
		machine.receive(bytes);
		if (machine.error !== undefined) throw machine.error;
	};
	const meeting = {
		form: 'bytes',
		refuses: codes('invalid_input', 'conflict', 'unauthorized', 'unavailable'),
	} as const;
	const meet = (at: number, name: string): Target => ({
		...{ ...meeting, name: `handshake meets ${name}`, weight: 1, samples: [messages[at] as Uint8Array] },
		accept(bytes) {
			const { initiator, responder: other } = pair.run((message, index) => (index === at ? bytes : message), {
				responder: responder(),
			});
			const error = initiator.error ?? other.error;
			if (error !== undefined) throw error;
			return { proved: [bytes] };
		},
	});
	return [
		{
			...{ ...meeting, name: 'handshake meets M1', weight: 20, samples: [m1] },
			accept(bytes) {
				answered(responder(), bytes);
				return { proved: [bytes] };
			},
		},
		{
			...{ ...meeting, name: 'handshake meets M1 of a member', weight: 3, samples: [gated] },
			accept(bytes) {
				answered(responder(), concat(bytes, gateOf(nodeCrypto, pair.mesh.psk, context, bytes)));
				return MADE_OF_NOTHING;
			},
		},
		meet(1, 'M2'),
		meet(2, 'M3'),
		meet(3, 'M4'),
	];
}

/** A stream of three records. Whatever is opened is what was sealed, in its order and from its beginning. */
function records(): Target {
	const lane = { opener: 'initiator', number: 0, writer: 'initiator' } as const;
	const secret = new Uint8Array(32).fill(5);
	const suite = nodeCrypto.suites[0] as SuiteId;
	const sender = new SendLane(nodeCrypto, suite, lane);
	const plain = [
		[RECORD.data, 'a first record'],
		[RECORD.control, 'and a second'],
		[RECORD.end, ''],
	] as const;
	const utf8 = new TextEncoder();
	const sample = concat(...plain.map(([type, text]) => sender.seal(0, secret, type, utf8.encode(text))));
	const secrets = new Map([[0, secret]]);
	return {
		...{ name: 'session records', weight: 30, form: 'bytes', samples: [sample], refuses },
		accept(bytes) {
			const splitter = new RecordSplitter();
			const receiver = new ReceiveLane(nodeCrypto, suite, lane, secrets);
			let opened = 0;
			for (const record of splitter.split(bytes)) {
				const text = Buffer.from(receiver.open(record).plaintext).toString();
				const [type, expected] = plain[opened++] ?? [];
				if (record.type !== type || text !== expected) throw new Error(`opened ${text} of type ${record.type}`);
			}
			return MADE_OF_NOTHING;
		},
	};
}

/** The control messages of an established session, which only its peer can send: a request for new keys, and its answer. */
function controls(): Target[] {
	const secret = new Uint8Array(32).fill(5);
	const dueMs = 3_600_001;
	const phases = (role: Role): Phases => new Phases(nodeCrypto, resolveRekey(), role, secret, 0);
	const controlIn = (effects: readonly PhaseEffect[]): Uint8Array[] =>
		effects.flatMap((effect) => (effect.type === 'control' ? [effect.payload] : []));
	const [request] = controlIn(phases('initiator').tick(dueMs)) as [Uint8Array];
	const answers = controlIn(phases('responder').control(request, 0, dueMs));
	return [
		{
			...{ name: 'session request for keys', weight: 10, form: 'bytes', samples: [request], refuses },
			accept(bytes) {
				phases('responder').control(bytes, 0, dueMs);
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'session answer with keys', weight: 2, form: 'bytes', samples: answers, refuses },
			accept(bytes) {
				const asking = phases('initiator');
				asking.tick(dueMs);
				asking.control(bytes, 0, dueMs);
				return MADE_OF_NOTHING;
			},
		},
	];
}
