import { expect } from 'chai';
import { describe, it } from 'mocha';
import { encodeRecord } from '../../wire/index.ts';
import { ARMOR_KINDS, ARMOR_TEXT_MAX, armorKindOf, decodeArmor, encodeArmor } from '../armor.ts';
import { describeRecord } from '../describe.ts';
import { decodeInvite, encodeInvite } from '../invite.ts';
import { createNodeKeys, openEnrolmentRequest, requestEnrolment } from '../machine.ts';
import { createTestMesh, createWorkload, NOW_MS, refused } from './fixtures.ts';

describe('armour', () => {
	const bytes = new Uint8Array(1000).map((_, i) => i * 7);
	const text = encodeArmor('REQUEST', bytes);

	it('carries any bytes as short lines of text, under what they are', () => {
		for (const kind of ARMOR_KINDS) {
			for (const length of [1, 2, 3, 47, 48, 49, 1000]) {
				const armoured = encodeArmor(kind, bytes.subarray(0, length));
				expect(decodeArmor(kind, armoured)).to.deep.equal(bytes.subarray(0, length));
				expect(armorKindOf(armoured)).to.equal(kind);
				expect(armoured.split('\n').every((line) => line.length <= 64)).to.equal(true);
			}
		}
	});

	it('survives what mail and terminals do to blanks', () => {
		for (const mangled of [text.replaceAll('\n', '\r\n'), `\n\n${text}\n `, text.replaceAll('\n', '\n  '), text.trim()])
			expect(decodeArmor('REQUEST', mangled)).to.deep.equal(bytes);
	});

	it('is refused as another kind, cut, or with anything else in it', () => {
		expect(() => decodeArmor('BUNDLE', text)).to.throw(
			"it is a machine's request for enrolment, not a machine's sealed bundle",
		);
		const lines = text.split('\n');
		for (const broken of [
			'',
			'hello',
			lines.slice(1).join('\n'),
			lines.slice(0, -2).join('\n'),
			[...lines.slice(0, 3), 'what?', ...lines.slice(3)].join('\n'),
			[...lines.slice(0, 2), '', '====', ...lines.slice(2)].join('\n'),
			`${text}${text}`,
			`hello\n${text}`,
			text.replace('END BEEMESH REQUEST', 'END BEEMESH BUNDLE'),
			text.replace('BEGIN BEEMESH REQUEST', 'BEGIN BEEMESH OTHER'),
			'-----BEGIN BEEMESH REQUEST-----\n-----END BEEMESH REQUEST-----',
			// Not the shortest form of these bytes: 'QQ==' is.
			encodeArmor('REQUEST', new Uint8Array([0x41])).replace('QQ==', 'QR=='),
			text.padEnd(ARMOR_TEXT_MAX + 1),
		])
			refused('invalid_input', () => decodeArmor('REQUEST', broken));
	});
});

describe('invitations', () => {
	const { mesh } = createTestMesh();
	const join = [`/dns/bee.example/udp/4700/quic-v1/p2p/${createNodeKeys().peer.peerId}`];

	it('name a mesh and where it is', () => {
		const invite = decodeInvite(encodeInvite({ mesh, join }));
		expect(invite.mesh.cid).to.equal(mesh.cid);
		expect(invite.join).to.deep.equal(join);
		expect(decodeInvite(encodeInvite({ mesh, join: [] })).join).to.deep.equal([]);
	});

	it('are refused with a genesis that is not its root’s, or an address that says not who answers there', () => {
		const forged = mesh.envelope.slice();
		forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
		const armoured = (value: unknown) => encodeArmor('INVITE', encodeRecord(value));
		refused('unauthorized', () => decodeInvite(armoured({ genesis: forged, join })));
		for (const address of [
			'/ip4/192.0.2.7/udp/4700',
			`${join[0]}/x`,
			`${join[0]} `,
			join[0]?.slice(1),
			'/p2p/12D3',
			`/${'a'.repeat(300)}${join[0]}`,
		])
			refused('invalid_input', () => decodeInvite(armoured({ genesis: mesh.envelope, join: [address] })));
		refused('invalid_input', () =>
			decodeInvite(armoured({ genesis: mesh.envelope, join: new Array(65).fill(join[0]) })),
		);
		refused('invalid_input', () => decodeInvite(armoured({ genesis: mesh.envelope })));
		refused('invalid_input', () => encodeInvite({ mesh, join: ['nowhere'] }));
	});
});

describe('descriptions of records', () => {
	it('are one sentence for a person', () => {
		const { mesh } = createTestMesh();
		const { charter } = createWorkload();
		const request = requestEnrolment(createNodeKeys(), { name: 'bee-1', labels: {} }, NOW_MS);
		expect(describeRecord('mesh-genesis', mesh.body)).to.equal('Genesis of the mesh "home"');
		expect(describeRecord('charter', charter)).to.equal('Charter of Deployment default/web, era 1: 2 replicas');
		expect(describeRecord('charter', { ...charter, deleted: true })).to.match(/era 1: deleted$/);
		const { body } = openEnrolmentRequest(request);
		expect(describeRecord('machine-csr', body)).to.equal(
			`Machine "bee-1" (…${body.machineId.slice(-8)}) asks to be enrolled`,
		);
	});
});
