import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeArmor, encodeArmor, openEnrolmentRequest, sealMeshBundle } from '@beemesh/sdk/identity';
import { silentLogger } from '@beemesh/sdk/telemetry';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createTestRoot } from '../mesh/test/root.ts';
import { loadNodeKeys } from './node-keys.ts';
import { openMembership } from './open.ts';
import { makeRequest } from './request.ts';

describe('the name that a machine is enrolled under', () => {
	const root = createTestRoot();
	let stateDir: string;
	beforeEach(() => {
		stateDir = mkdtempSync(join(tmpdir(), 'hostd-name-'));
	});
	afterEach(() => rmSync(stateDir, { recursive: true }));

	const requested = async (name?: string): Promise<string> => {
		const told = name === undefined ? {} : { name };
		const request = await makeRequest({ stateDir, machineName: 'machine', labels: {}, ...told }, undefined, Date.now());
		expect(openEnrolmentRequest(decodeArmor('REQUEST', request.text)).body.name).to.equal(request.name);
		return request.name;
	};

	/** As `beectl mesh enroll` does it; and then a start with the bundle. */
	async function enrol(name?: string): Promise<string> {
		const keys = await loadNodeKeys(stateDir);
		const bundle = { ...root.bundle(keys), ...(name === undefined ? {} : { name }) };
		const { machineId } = root.enrol(keys);
		const file = join(stateDir, 'given.bundle');
		writeFileSync(file, encodeArmor('BUNDLE', sealMeshBundle(bundle, machineId, keys.kem.publicKey)));
		return file;
	}

	const opened = async (bundle: string | undefined): Promise<string | undefined> => {
		const keys = await loadNodeKeys(stateDir);
		const told = { name: 'unused', labels: {} };
		const options = { stateDir, keys, bundle, dev: false, ...told, logger: silentLogger, nowMs: Date.now };
		return (await openMembership(options)).bundle.name;
	};

	it('is the one it asks for: as told, else that of the machine', async () => {
		expect(await requested('bee-1')).to.equal('bee-1');
		expect(await requested()).to.equal('machine');
	});

	it('is kept for starts without a bundle, and for the next request', async () => {
		expect(await opened(await enrol('bee-1'))).to.equal('bee-1');
		expect(await opened(undefined)).to.equal('bee-1');
		expect(await requested()).to.equal('bee-1');
		expect(await requested('bee-2')).to.equal('bee-2');
		// A request is only a wish.
		expect(await opened(undefined)).to.equal('bee-1');
	});

	it('is not known from a bundle of before it was told', async () => {
		expect(await opened(await enrol())).to.equal(undefined);
	});
});
