import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { PodReport } from '../pods/index.ts';
import type { HostedPod } from './registry.ts';
import { endsOf, isReady } from './views.ts';

function report(containers: PodReport['containers'], restarts: number): PodReport {
	return {
		...{ podId: 'p', labels: {}, phase: 'Running', reason: '', isReady: false, restarts, createdAtMs: 0 },
		...{ startedAtMs: undefined, ports: [], addresses: [], containers },
	};
}

describe('readiness of a pod', () => {
	const runs = { ...report([], 0), isReady: true };
	const pod = { leaving: '', embedsSdk: false, isPlain: false, announced: undefined } as unknown as HostedPod;
	const announced = { replicaId: 'r', addresses: [], role: '', ready: true } as unknown as HostedPod['announced'];

	it('waits for the replica to say so, or to be known as none', () => {
		expect(isReady(pod, runs)).to.equal(false);
		expect(isReady({ ...pod, isPlain: true }, runs)).to.equal(true);
		expect(isReady({ ...pod, embedsSdk: true, isPlain: true }, runs)).to.equal(false);
		expect(isReady({ ...pod, embedsSdk: true, announced }, runs)).to.equal(true);
	});

	it('ends with its probes and with its leaving', () => {
		expect(isReady({ ...pod, isPlain: true }, { ...runs, isReady: false })).to.equal(false);
		expect(isReady({ ...pod, embedsSdk: true, announced, leaving: 'deleted' }, runs)).to.equal(false);
	});
});

describe('why a pod does not run', () => {
	const image = 'example/web:1';
	const running = { name: 'side', image, state: { state: 'running', startedAtMs: 0, pid: 7 } } as const;
	const ended = {
		...{ name: 'web', image },
		state: { state: 'exited', exitCode: 1, reason: 'Error', finishedAtMs: 0 },
	} as const;

	it('names the container that ended, its exit code and how often it was started again', () => {
		expect(endsOf(report([running, ended], 2))).to.equal('container web ended with 1 (Error), 2 restarts');
		expect(endsOf(report([ended], 0))).to.equal('container web ended with 1 (Error)');
		expect(endsOf(report([running], 1))).to.equal('1 restart');
	});

	it('has nothing to say of one that runs, or was never made', () => {
		expect(endsOf(report([running], 0))).to.equal('');
		expect(endsOf(undefined)).to.equal('');
	});
});
