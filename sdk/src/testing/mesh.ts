/**
 * A mesh inside one process, for an app's own tests: real workplanes, real sessions, real identities; only network and
 * host are in memory. No port, file or daemon is used.
 */
import type { OpenNetwork } from '../discovery/index.ts';
import { createPeerKey } from '../identity/index.ts';
import { createMemoryNetwork } from '../streams/memory/index.ts';
import type { PeerId } from '../wire/index.ts';
import { memoryIdentity } from '../workplane/identity-file.ts';
import { join } from '../workplane/join.ts';
import { createLocalHost, type LocalHost } from '../workplane/local/host.ts';
import { createMemoryRegistry, type MemoryRegistry } from '../workplane/local/memory-registry.ts';
import type { Entry } from '../workplane/local/registry.ts';
import { memoryStores } from '../workplane/stores.ts';
import type { JoinOptions } from '../workplane/types.ts';
import type { Workplane } from '../workplane/workplane.ts';

export interface TestMesh extends AsyncDisposable {
	/** Joins another replica; `workload` names which, default `app`. `data` makes a slot that {@link restart} keeps. */
	join(options?: TestJoinOptions): Promise<Workplane>;
	/** Ends a replica as `kill -9` would: nobody is told. */
	crash(workplane: Workplane): Promise<void>;
	/** Starts a crashed replica again in its slot, with its data and its keys. */
	restart(workplane: Workplane): Promise<Workplane>;
	/** Cuts every path between the two sides until disposed. */
	partition(a: readonly Workplane[], b: readonly Workplane[]): Disposable;
}

export interface TestJoinOptions extends JoinOptions {
	/** Replicas of different owners do not talk to each other. Default: all of one owner. */
	readonly owner?: string;
}

type Media = NonNullable<Parameters<typeof memoryStores>[0]>;

export function createTestMesh(): TestMesh {
	const network = createMemoryNetwork();
	const registries = new Map<string, MemoryRegistry>();
	const joined = new Map<Workplane, { readonly options: TestJoinOptions; readonly registry: MemoryRegistry }>();
	const entries = new Map<string, Entry>();
	const media = new Map<string, Media>();
	let nextData = 1;

	const openNetwork: OpenNetwork = async ({ seed }) => ({
		transport: network.join(createPeerKey(seed).peerId),
		dht: undefined,
		recheck: () => {},
	});

	/** The disk of a replica: what it wrote outlives its crash. */
	const mediaOf = ({ data = '' }: TestJoinOptions): Media => {
		let found = media.get(data);
		if (found === undefined || data === '') media.set(data, (found = new Map()));
		return found;
	};

	const identities = new Map<string, Parameters<typeof memoryIdentity>[0]>();
	const identityOf = ({ data = '' }: TestJoinOptions) => {
		let found = identities.get(data);
		if (found === undefined || data === '') identities.set(data, (found = {}));
		return memoryIdentity(found);
	};

	const start = async (options: TestJoinOptions): Promise<Workplane> => {
		const owner = options.owner ?? '';
		let registry = registries.get(owner);
		if (registry === undefined) registries.set(owner, (registry = createMemoryRegistry(entries)));
		const host: LocalHost = await createLocalHost({
			registry,
			workload: options.workload ?? 'app',
			data: options.data,
			voters: options.voters ?? 3,
			listen: [],
		});
		const stores = memoryStores(mediaOf(options));
		const workplane = await join({ host, openNetwork, options, stores, identityStore: identityOf(options) });
		joined.set(workplane, { options, registry });
		return workplane;
	};

	const crash = async (workplane: Workplane): Promise<void> => {
		const { peer } = workplane.self;
		network.crash(peer);
		joined.get(workplane)?.registry.kill(peer);
		await workplane.drain({ grace: 0, reason: 'crashed' });
	};

	return {
		join: (options = {}) => start({ data: `data-${nextData++}`, ...options }),
		crash,
		async restart(workplane) {
			const known = joined.get(workplane);
			if (known === undefined) throw new Error('this workplane is not of this mesh');
			if (workplane.state !== 'left') await crash(workplane);
			joined.delete(workplane);
			return start(known.options);
		},
		partition: (a, b) => network.partition(peersOf(a), peersOf(b)),
		async [Symbol.asyncDispose]() {
			await Promise.all(
				[...joined.keys()].map((workplane) => workplane.drain({ grace: 100, reason: 'the test ends' })),
			);
		},
	};
}

function peersOf(workplanes: readonly Workplane[]): PeerId[] {
	return workplanes.map(({ self }) => self.peer);
}
