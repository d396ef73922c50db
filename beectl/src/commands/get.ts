import type { PodStatus } from '@beemesh/hostd/api';
import type { MachineId, Presence } from '@beemesh/sdk/wire';
import type { Cli, Command } from '../cli/command.ts';
import { usageError } from '../cli/input.ts';
import { readMesh, type WorkloadState } from '../host/inventory.ts';
import {
	type Columns,
	deploymentColumns,
	hostColumns,
	podColumns,
	readyCount,
	statefulSetColumns,
	upToDateCount,
} from '../output/columns.ts';
import { noteSilentHosts, outputOf, printData } from '../output/print.ts';
import { type Column, cellsOf, table } from '../output/table.ts';
import { type Grid, watchGrid } from '../output/watch.ts';
import { ALL_NAMESPACES, namespaceOf } from './options.ts';
import { type Kind, notFound, referencesOf, workloadsOf } from './resources.ts';

export const get: Command = {
	name: 'get',
	summary: 'list pods, deployments, statefulsets or hosts',
	usage: ['get pods|deployments|statefulsets|hosts [NAME...] [options]', 'get KIND/NAME... [options]'],
	options: {
		...ALL_NAMESPACES,
		watch: { type: 'boolean', short: 'w', help: 'then go on: one line whenever one changes, until Ctrl-C' },
		output: { type: 'string', short: 'o', value: 'FORMAT', help: 'wide, json, yaml or name' },
	},
	notes: 'Short names: po, deploy, sts, ho.',
	examples: [
		['get pods -o wide', 'pods with their slots and endpoints'],
		['get sts -A', 'StatefulSets of all namespaces'],
		['get hosts', 'hosts of the mesh and what they have free'],
		['get pods -w', 'see replicas move as it happens'],
		['get pods -o json', 'for programs'],
	],
	async run(input, cli) {
		const output = outputOf(input.text('output'));
		const references = referencesOf(input.positionals);
		const kinds = [...new Set(references.map(({ kind }) => kind))];
		const [kind] = kinds;
		if (kind === undefined || kinds.length > 1) throw usageError('one kind at a time');
		const names = references.flatMap(({ name }) => (name === undefined ? [] : [name]));
		const namespace = namespaceOf(input);
		if (input.flag('watch') && output !== 'table' && output !== 'wide')
			throw usageError(`-w prints lines of a table; leave out -o ${output}`);
		const listing = await listingOf(kind, namespace, cli);
		for (const name of names)
			if (!listing.names.includes(name)) throw notFound(kind, name, kind === 'host' ? undefined : namespace);
		const only = (all: Listing): Listing => (names.length === 0 ? all : all.only((name) => names.includes(name)));
		const chosen = only(listing);
		if (input.flag('watch')) {
			const gridOf = (shown: Listing): Grid => shown.grid(output === 'wide', namespace === undefined);
			// What is known to be missing is said once.
			const quietly = { ...cli, err: { ...cli.err, write: () => {} } };
			const look = async (): Promise<Grid> => gridOf(only(await listingOf(kind, namespace, quietly)));
			await watchGrid(gridOf(chosen), look, cli.out, cli.signal);
		}
		if (output === 'json' || output === 'yaml')
			printData(cli.out, output, names.length === 1 ? chosen.data[0] : chosen.list);
		else if (output === 'name') cli.out.write(chosen.names.map((name) => `${kind}/${name}\n`).join(''));
		else if (chosen.names.length > 0) cli.out.write(chosen.table(output === 'wide', namespace === undefined));
		else
			cli.err.write(
				`no ${kind}s found${namespace === undefined || kind === 'host' ? '' : ` in namespace ${namespace}`}\n`,
			);
	},
};

/** Rows of any kind, ready to be printed in any form. */
interface Listing {
	readonly names: readonly string[];
	/** Of one named object, for `-o json` and `-o yaml`. */
	readonly data: readonly unknown[];
	/** The whole answer, for the same: a program has to know too when some host's part is missing. */
	readonly list: { readonly items: readonly unknown[]; readonly hostsSilent?: readonly MachineId[] };
	only(keep: (name: string) => boolean): Listing;
	grid(isWide: boolean, withNamespace: boolean): Grid;
	table(isWide: boolean, withNamespace: boolean): string;
}

function listing<T>(
	rows: readonly T[],
	nameOf: (row: T) => string,
	dataOf: (row: T) => unknown,
	columns: Columns<T>,
	hostsSilent?: readonly MachineId[],
): Listing {
	const data = rows.map(dataOf);
	const columnsFor = (isWide: boolean, withNamespace: boolean): readonly Column<T>[] => [
		...(withNamespace && columns.namespace !== undefined ? [columns.namespace] : []),
		...columns.narrow,
		...(isWide ? columns.wide : []),
	];
	return {
		names: rows.map(nameOf),
		data,
		list: { items: data, ...(hostsSilent === undefined ? {} : { hostsSilent }) },
		only: (keep) =>
			listing(
				rows.filter((row) => keep(nameOf(row))),
				nameOf,
				dataOf,
				columns,
				hostsSilent,
			),
		grid(isWide, withNamespace) {
			const chosen = columnsFor(isWide, withNamespace);
			return { titles: chosen.map(({ title }) => title), rows: cellsOf(chosen, rows), isWhole: !hostsSilent?.length };
		},
		table: (isWide, withNamespace) => table(columnsFor(isWide, withNamespace), rows),
	};
}

async function listingOf(kind: Kind, namespace: string | undefined, cli: Cli): Promise<Listing> {
	if (kind === 'host') {
		const { api } = await cli.connect('anybody');
		const { hosts } = await api.hosts({}, { signal: cli.signal });
		const sorted = [...hosts].sort((a, b) => (a.name < b.name ? -1 : 1));
		return listing<Presence>(
			sorted,
			({ name }) => name,
			(row) => row,
			hostColumns,
		);
	}
	const { signer: owner } = await cli.owner();
	const state = await readMesh(await cli.connect(), owner, cli.signal);
	noteSilentHosts(cli.err, state.hostsSilent);
	if (kind === 'pod') {
		const pods = state.workloads
			.flatMap((workload) => workload.pods)
			.filter((pod) => namespace === undefined || pod.namespace === namespace);
		return listing<PodStatus>(
			pods,
			({ name }) => name,
			(row) => row,
			podColumns(cli.nowMs()),
			state.hostsSilent,
		);
	}
	const columns = kind === 'deployment' ? deploymentColumns(cli.nowMs()) : statefulSetColumns(cli.nowMs());
	return listing(
		workloadsOf(state, kind, namespace),
		({ charter }) => charter.name,
		workloadData,
		columns,
		state.hostsSilent,
	);
}

function workloadData(state: WorkloadState): unknown {
	const { charter, manifest, pods } = state;
	const { wid, era, kind, namespace, name, replicas, deleted, manifestCid } = charter;
	const status = { replicas: pods.length, readyReplicas: readyCount(state), updatedReplicas: upToDateCount(state) };
	return {
		kind,
		namespace,
		name,
		wid,
		era,
		replicas,
		deleted,
		manifestCid,
		status,
		pods: pods.map((pod) => pod.name),
		manifest,
	};
}
