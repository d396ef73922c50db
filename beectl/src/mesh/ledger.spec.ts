import { createPeerKey, MACHINE_CERT_TTL_MS } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type LedgerEntry, machineNamed, revocationsInForce, withEntry, withRevoked } from './ledger.ts';

const NOW_MS = 1_800_000_000_000;
const entry = (serial: number, name: string): LedgerEntry => ({
	machineId: createPeerKey().peerId as MachineId,
	name,
	serial,
	exp: NOW_MS,
	renews: false,
});

describe('the ledger of a mesh', () => {
	const [a, b] = [entry(1, 'a'), entry(2, 'b')];
	const ledger = withEntry(withEntry({ nextSerial: 1, machines: [] }, b), a);

	it('orders by serial and never gives one twice', () => {
		expect(ledger.machines).to.deep.equal([a, b]);
		expect(ledger.nextSerial).to.equal(3);
		expect(withEntry(ledger, { ...a, name: 'c' }).machines.map(({ name }) => name)).to.deep.equal(['c', 'b']);
	});

	it('names a machine by name or ID, one in force before one that was put out', () => {
		expect(machineNamed(ledger, 'a')).to.equal(a);
		expect(machineNamed(ledger, b.machineId)).to.equal(b);
		const [old, young] = [entry(3, 'c'), entry(4, 'c')];
		const both = withEntry(withEntry(ledger, old), young);
		expect(() => machineNamed(both, 'c')).to.throw(/several machines are named "c"/);
		expect(machineNamed(withRevoked(both, [old.machineId], NOW_MS), 'c')).to.equal(young);
		expect(() => machineNamed(ledger, 'd')).to.throw(/no machine "d"/);
	});

	it('names a revocation for as long as any certificate of the machine may live', () => {
		const revoked = withRevoked(ledger, [a.machineId], NOW_MS);
		expect(revocationsInForce(revoked, NOW_MS + 2 * MACHINE_CERT_TTL_MS - 1)).to.deep.equal([a.machineId]);
		expect(revocationsInForce(revoked, NOW_MS + 2 * MACHINE_CERT_TTL_MS)).to.deep.equal([]);
		const twice = withRevoked(revoked, [a.machineId], NOW_MS + 1);
		expect(twice.machines[0]?.revokedMs).to.equal(NOW_MS);
	});
});
