import { signRecord } from '@beemesh/sdk/identity';
import { confirmMembers } from '../apply/checkpoint.ts';
import { type Placement, type PlaceOptions, placeWorkload } from '../apply/place.ts';
import { planOf, wantedOf } from '../apply/plan.ts';
import { charterFor, newWorkload, widOf } from '../apply/records.ts';
import { type WaitOptions, waitReady } from '../apply/wait.ts';
import type { Cli, Command } from '../cli/command.ts';
import { EXIT, Failure } from '../cli/exit.ts';
import { giveCharter, hostNames, type MeshState, readMesh } from '../host/inventory.ts';
import type { LoadedWorkload } from '../manifests/index.ts';
import { counted } from '../output/human.ts';
import { Progress } from '../output/progress.ts';
import { FILES, manifestsOf, NAMESPACE, WAIT, waitMs } from './options.ts';
import { titleOf } from './resources.ts';
import { runAll } from './run-all.ts';

export const apply: Command = {
	name: 'apply',
	summary: 'create or change workloads as manifests say',
	usage: ['apply -f PATH... [options]'],
	options: {
		...FILES,
		...NAMESPACE,
		...WAIT,
		'keep-trying': { type: 'boolean', help: 'when no host can run it, keep asking until one can' },
		'dry-run': { type: 'boolean', help: 'only check the manifests; nothing is sent' },
	},
	notes:
		'Manifests are Kubernetes Deployments and StatefulSets (apps/v1), several per file. All files are checked before\nanything is sent. A new workload is placed now; of a known one, its replicas follow the change themselves.',
	examples: [
		['apply -f app.yaml --wait', 'place a workload and wait until every replica is ready'],
		['apply -f manifests/ -n staging', 'all manifests of a folder, in the namespace staging'],
		['apply -f app.yaml --dry-run', 'check a manifest without a host'],
		['apply -f big.yaml --keep-trying --timeout 10m', 'wait until a host has room'],
	],
	async run(input, cli) {
		const workloads = await manifestsOf(input, cli);
		const timeoutMs = input.durationMs('timeout');
		const readyWithinMs = waitMs(input);
		const nowhere = workloads.filter(({ replicas }) => replicas === 0);
		if (nowhere.length > 0) {
			const text = 'spec.replicas: 0: what runs nowhere is remembered nowhere; use `beectl delete`';
			throw new Failure(EXIT.usage, nowhere.map(({ from }) => `${from}: ${text}`).join('\n'));
		}
		if (input.flag('dry-run')) {
			for (const { manifest } of workloads)
				cli.out.write(`${titleOf(manifest.kind, manifest.metadata.name)} is valid (dry run)\n`);
			return;
		}
		const limitMs = timeoutMs ?? (input.flag('keep-trying') ? undefined : readyWithinMs);
		await applyAll(workloads, cli, {
			keepTrying: input.flag('keep-trying'),
			wait: readyWithinMs !== undefined,
			limitMs,
		});
	},
};

interface ApplyOptions {
	readonly keepTrying: boolean;
	readonly wait: boolean;
	/** For everything together; undefined: no limit. */
	readonly limitMs: number | undefined;
}

async function applyAll(workloads: readonly LoadedWorkload[], cli: Cli, options: ApplyOptions): Promise<void> {
	const owner = await cli.owner();
	const { signer } = owner;
	const client = await cli.connect();
	const { api } = client;
	const untilMs = cli.nowMs() + (options.limitMs ?? Number.POSITIVE_INFINITY);
	const signal =
		options.limitMs === undefined ? cli.signal : AbortSignal.any([cli.signal, AbortSignal.timeout(options.limitMs)]);
	const state = await readMesh(client, signer, cli.signal);
	const { hosts } = await api.hosts({}, { signal: cli.signal });
	const hostName = await hostNames(api, cli.signal);
	const progress = new Progress(cli.err);
	progress.line(
		cli.err,
		`${counted(hosts.length, 'host')} found: ${hosts
			.map(({ name }) => name)
			.sort()
			.join(', ')}`,
	);

	await runAll(
		workloads,
		async (loaded) => {
			const { kind, metadata } = loaded.manifest;
			const title = titleOf(kind, metadata.name);
			try {
				const told = await applyOne(loaded);
				progress.line(cli.out, `${title} ${told}`);
			} catch (error) {
				if (!cli.signal.aborted || error instanceof Failure) throw error;
				throw new Failure(EXIT.interrupted, 'interrupted; what was placed runs on', { cause: error });
			}
		},
		({ manifest }) => titleOf(manifest.kind, manifest.metadata.name),
	);

	async function applyOne({ manifest, replicas }: LoadedWorkload): Promise<string> {
		const current = currentOf(state, widOf(signer, manifest));
		const wanted = wantedOf(manifest, replicas, current);
		const plan = planOf(wanted, current, cli.nowMs());
		const shown = progress.workload(`${manifest.kind.toLowerCase()}/${manifest.metadata.name}`);
		const common = { client, owner: signer, progress: shown, nowMs: cli.nowMs };
		let charter = current?.charter ?? charterFor(signer, wanted, 0, cli.nowMs());
		let told = 'unchanged';
		if (current !== undefined && plan.action !== 'place') {
			// Before they change: members that follow a newer charter admit newcomers at once.
			const when = plan.action === 'update' ? 'any' : 'long';
			const tell = (text: string): void => progress.line(cli.err, text);
			await confirmMembers({ client, owner, workload: current, when, tell, nowMs: cli.nowMs, signal });
		}
		if (plan.action === 'place') {
			const workload = newWorkload(owner, wanted, plan.era, cli.nowMs());
			charter = workload.bundle.charter.body;
			const { keepTrying } = options;
			const placing = { ...common, workload, gen: plan.gen, keepTrying, hostName, signal };
			if (options.wait) await placeUntilReady(placing, { ...common, charter, untilMs, signal: cli.signal });
			else throwProblem(await placeWorkload(placing));
			told = plan.isNew ? 'created' : 'placed again';
		} else if (plan.action === 'update') {
			charter = charterFor(signer, wanted, plan.era, cli.nowMs(), current?.charter);
			const envelope = signRecord('charter', charter, signer);
			const change = plan.isNewManifest ? { charter: envelope, manifest: wanted.manifestBytes } : { charter: envelope };
			const { hostsReached } = await giveCharter(client, current?.hosts ?? [], change, signal);
			shown.note(`charter of era ${plan.era} given to ${counted(hostsReached, 'host')}`);
			told = 'configured';
		}
		if (options.wait && plan.action !== 'place') await waitReady({ ...common, charter, untilMs, signal: cli.signal });
		return told;
	}
}

/**
 * Places and waits at once: a slot whose first pod failed may long have been healed by the others, and then the rest
 * of the placement is moot.
 */
async function placeUntilReady(place: PlaceOptions, wait: WaitOptions): Promise<void> {
	const isReady = new AbortController();
	const stopWaiting = new AbortController();
	let isPlaced = false;
	const ready = waitReady({
		...wait,
		signal: AbortSignal.any([wait.signal, stopWaiting.signal]),
		isQuiet: () => !isPlaced,
	});
	ready.then(
		() => isReady.abort(),
		() => {},
	);
	const placement = await placeWorkload({ ...place, signal: AbortSignal.any([place.signal, isReady.signal]) });
	isPlaced = true;
	const isHopeless = placement.admitted === 0 || wait.signal.aborted;
	if (!isReady.signal.aborted && isHopeless && placement.problem !== undefined) {
		stopWaiting.abort();
		throw placement.problem;
	}
	try {
		await ready;
	} catch (error) {
		// Why the rest was not placed is why it is not ready.
		if (!(error instanceof Failure) || placement.problem === undefined) throw error;
		throw new Failure(error.exitCode, `${error.message}\n  ${placement.problem.message}`, { cause: error });
	}
}

function throwProblem({ problem }: Placement): void {
	if (problem !== undefined) throw problem;
}

function currentOf(state: MeshState, wid: string) {
	return state.workloads.find(({ charter }) => charter.wid === wid);
}
