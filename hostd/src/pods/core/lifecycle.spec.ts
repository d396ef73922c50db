import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type LifecycleConfig, type LifecycleEffect, PodLifecycle } from './lifecycle.ts';
import type { ProbeTiming } from './probe-state.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function pod(change: Partial<LifecycleConfig> = {}): PodLifecycle {
	return new PodLifecycle({ restartPolicy: 'Always', containers: [{ name: 'main', probes: {} }], ...change });
}

const exited = (exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error') =>
	({ type: 'exited', container: 'main', exitCode, reason }) as const;
const started = (startedAtMs: number) => ({ type: 'started', container: 'main', startedAtMs }) as const;
const RESTART: LifecycleEffect[] = [{ type: 'restart', containers: ['main'] }];

/** Lets the container crash right after each start; returns how long it waited before each restart. */
function crashes(life: PodLifecycle, count: number): number[] {
	const waits: number[] = [];
	let nowMs = 0;
	for (let index = 0; index < count; index++) {
		life.step(started(nowMs), nowMs);
		const effects = life.step(exited(1), nowMs);
		const dueAtMs = effects.length > 0 ? nowMs : (life.nextDeadlineMs() ?? Number.NaN);
		waits.push(dueAtMs - nowMs);
		if (effects.length === 0) {
			expect(life.step({ type: 'tick' }, dueAtMs - 1)).to.deep.equal([]);
			expect(life.step({ type: 'tick' }, dueAtMs)).to.deep.equal(RESTART);
		}
		nowMs = dueAtMs;
	}
	return waits;
}

describe('pod lifecycle: restarts', () => {
	it('starts a crashed container at once, then after 10 s, doubling up to 5 min', () => {
		expect(crashes(pod(), 9).map((ms) => ms / SECOND)).to.deep.equal([0, 10, 20, 40, 80, 160, 300, 300, 300]);
	});

	it('forgets earlier crashes after ten healthy minutes', () => {
		const life = pod();
		crashes(life, 4);
		life.step(started(0), 0);
		expect(life.step(exited(1), 10 * MINUTE)).to.deep.equal(RESTART);
		life.step(started(0), 0);
		expect(life.step(exited(1), 10 * MINUTE - 1)).to.deep.equal([]);
	});

	it('restarts a clean end too under Always, a failure only under OnFailure, nothing under Never', () => {
		for (const [restartPolicy, exitCode, restarts, phase] of [
			['Always', 0, true, 'Running'],
			['OnFailure', 0, false, 'Succeeded'],
			['OnFailure', 1, true, 'Running'],
			['Never', 0, false, 'Succeeded'],
			['Never', 1, false, 'Failed'],
		] as const) {
			const life = pod({ restartPolicy });
			life.step(started(0), 0);
			const effects = life.step(exited(exitCode), 1);
			expect(effects.length > 0, `${restartPolicy} ${exitCode}`).to.equal(restarts);
			expect(life.status().phase, `${restartPolicy} ${exitCode}`).to.equal(phase);
		}
	});

	it('counts restarts and says CrashLoopBackOff from the second crash in a row', () => {
		const life = pod();
		expect(life.status()).to.include({ phase: 'Pending', restarts: 0, isReady: false });
		life.step(started(0), 0);
		expect(life.status()).to.deep.equal({ phase: 'Running', reason: '', isReady: true, restarts: 0, startedAtMs: 0 });
		life.step(exited(137, 'OOMKilled'), 1);
		expect(life.status()).to.include({ phase: 'Running', reason: 'OOMKilled', isReady: false, restarts: 1 });
		life.step(started(2), 2);
		life.step(exited(1), 3);
		expect(life.status()).to.include({ phase: 'Running', reason: 'CrashLoopBackOff', isReady: false, restarts: 1 });
	});

	it('waits longer when the restart itself fails', () => {
		const life = pod();
		life.step(started(0), 0);
		expect(life.step(exited(1), 0)).to.deep.equal(RESTART);
		expect(life.step({ type: 'restartFailed', containers: ['main'] }, 5)).to.deep.equal([]);
		expect(life.nextDeadlineMs()).to.equal(5 + 10 * SECOND);
	});

	it('goes on counting where the previous hostd stopped', () => {
		const config = { restartPolicy: 'Always', containers: [{ name: 'main', probes: {} }] } as const;
		expect(new PodLifecycle(config, { main: 7 }).status().restarts).to.equal(7);
	});

	it('restarts nothing once the pod is going away', () => {
		const life = pod();
		life.step(started(0), 0);
		life.step({ type: 'stopping' }, 1);
		expect(life.step(exited(1), 2)).to.deep.equal([]);
		expect(life.nextDeadlineMs()).to.equal(undefined);
		expect(life.status()).to.include({ phase: 'Terminating', isReady: false });
	});

	it('restarts one container without touching the other', () => {
		const life = pod({
			containers: [
				{ name: 'main', probes: {} },
				{ name: 'side', probes: {} },
			],
		});
		life.step(started(0), 0);
		expect(life.status().phase).to.equal('Pending');
		life.step({ type: 'started', container: 'side', startedAtMs: 0 }, 0);
		expect(life.step(exited(1), 1)).to.deep.equal(RESTART);
		expect(life.status()).to.include({ phase: 'Running', isReady: false });
	});
});

describe('pod lifecycle: probes', () => {
	const timing: ProbeTiming = {
		initialDelayMs: 500,
		periodMs: 10 * SECOND,
		timeoutMs: SECOND,
		failureThreshold: 3,
		successThreshold: 1,
	};
	const probed = (probe: 'startup' | 'liveness' | 'readiness', isSuccess: boolean) =>
		({ type: 'probed', container: 'main', probe, isSuccess }) as const;
	const asked = (probe: string) => [{ type: 'probe', container: 'main', probe, timeoutMs: SECOND }];

	it('is ready only after the readiness probe says so, and unready after failureThreshold failures', () => {
		const life = pod({ containers: [{ name: 'main', probes: { readiness: timing } }] });
		expect(life.step(started(0), 0)).to.deep.equal([]);
		expect(life.nextDeadlineMs()).to.equal(500);
		expect(life.step({ type: 'tick' }, 500)).to.deep.equal(asked('readiness'));
		expect(life.nextDeadlineMs(), 'one probe at a time').to.equal(undefined);
		expect(life.status().isReady).to.equal(false);
		life.step(probed('readiness', true), 600);
		expect(life.status().isReady).to.equal(true);
		for (let failure = 1; failure <= 3; failure++) {
			const nowMs = life.nextDeadlineMs() ?? 0;
			life.step({ type: 'tick' }, nowMs);
			expect(life.step(probed('readiness', false), nowMs)).to.deep.equal([]);
			expect(life.status().isReady, `after ${failure} failures`).to.equal(failure < 3);
		}
	});

	it('kills and restarts a container whose liveness probe fails three times', () => {
		const life = pod({ containers: [{ name: 'main', probes: { liveness: timing } }] });
		life.step(started(0), 0);
		for (let failure = 1; failure <= 3; failure++) {
			const nowMs = life.nextDeadlineMs() ?? 0;
			expect(life.step({ type: 'tick' }, nowMs)).to.deep.equal(asked('liveness'));
			const effects = life.step(probed('liveness', false), nowMs);
			expect(effects).to.deep.equal(failure < 3 ? [] : [{ type: 'kill', container: 'main', probe: 'liveness' }]);
		}
		expect(life.status()).to.include({ phase: 'Running', reason: 'Unhealthy', isReady: false });
		expect(life.step(exited(143, 'SIGTERM'), 40 * SECOND)).to.deep.equal(RESTART);
	});

	it('lets the startup probe go first and gives it its own patience', () => {
		const startup = { ...timing, failureThreshold: 30 };
		const life = pod({ containers: [{ name: 'main', probes: { startup, liveness: timing, readiness: timing } }] });
		life.step(started(0), 0);
		expect(life.step({ type: 'tick' }, 500)).to.deep.equal(asked('startup'));
		for (let failure = 1; failure < 10; failure++) {
			life.step(probed('startup', false), failure * SECOND);
			expect(life.step({ type: 'tick' }, life.nextDeadlineMs() ?? 0)).to.deep.equal(asked('startup'));
		}
		expect(life.status().isReady).to.equal(false);
		const effects = life.step(probed('startup', true), 100 * SECOND);
		expect(effects).to.deep.equal([...asked('liveness'), ...asked('readiness')]);
	});

	it('ignores the result of a probe that outlived its container', () => {
		const life = pod({ containers: [{ name: 'main', probes: { liveness: { ...timing, failureThreshold: 1 } } }] });
		life.step(started(0), 0);
		life.step({ type: 'tick' }, 500);
		life.step(exited(1), 600);
		life.step(started(700), 700);
		expect(life.step(probed('liveness', false), 800)).to.deep.equal([]);
	});
});
