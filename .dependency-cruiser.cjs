// The directions of import that docs/architecture.md states. `npm run check` fails on any other.
const core = '/src/([^/]+)/core/';
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
	forbidden: [
		forbid(
			'no-cycles',
			'Rooms and files form no cycles.',
			{},
			{ circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
		),
		forbid(
			'core-is-quiet',
			'A core imports only its own core, wire and errors.',
			{ path: core, pathNot: '(\\.spec\\.ts$|/test/)' },
			{ pathNot: ['/src/$1/core/', '^sdk/src/wire/', '^sdk/src/errors\\.ts$'] },
		),
		forbid(
			'wire-is-pure',
			'wire imports errors and codecs only.',
			{ path: '^sdk/src/wire/', pathNot: '\\.spec\\.ts$' },
			{ pathNot: ['^sdk/src/wire/', '^sdk/src/errors\\.ts$', 'node_modules/(valibot|multiformats|@ipld/dag-cbor)/'] },
		),
		forbid('errors-import-nothing', '', { path: '^sdk/src/errors\\.ts$' }, { path: '.' }),
		forbid(
			'raft-not-discovery',
			'raft and discovery never import each other.',
			{ path: '^sdk/src/raft/' },
			{ path: '^sdk/src/discovery/' },
		),
		forbid(
			'discovery-not-raft',
			'raft and discovery never import each other.',
			{ path: '^sdk/src/discovery/' },
			{ path: '^sdk/src/raft/' },
		),
		forbid('sdk-not-hostd', 'The SDK knows no host daemon.', { path: '^sdk/' }, { path: '^(hostd|beectl|examples)/' }),
		forbid('hostd-not-raft', 'hostd keeps no consensus.', { path: '^hostd/' }, { path: '^sdk/src/raft/' }),
		forbid('hostd-not-beectl', '', { path: '^hostd/' }, { path: '^(beectl|examples)/' }),
		forbid(
			'beectl-only-hostd-api',
			'beectl knows the contract of the host, not its inside.',
			{ path: '^beectl/src/' },
			{ path: '^hostd/(?!src/api/index\\.ts)' },
		),
		forbid(
			'examples-public-sdk',
			'Examples use what every app can use.',
			{ path: '^examples/.*/src/' },
			{ path: '^(hostd|beectl|sdk/src/(?!(?:index|wire/index|telemetry/index)\\.ts))' },
		),
		forbid(
			'libp2p-in-its-rooms',
			'libp2p appears in streams/libp2p and the drivers of discovery and mesh.',
			{
				path: '^(sdk|hostd|beectl|examples)/',
				pathNot: ['^sdk/src/streams/libp2p/', '^sdk/src/discovery/', '^hostd/src/mesh/', '\\.spec\\.ts$', '/test/'],
			},
			{ path: 'node_modules/(libp2p|@libp2p|@chainsafe)/' },
		),
		forbid(
			'podman-in-its-room',
			'Podman appears in runtime/podman only.',
			{ path: '^(sdk|hostd|beectl|examples)/', pathNot: ['^hostd/src/runtime/podman/', '\\.spec\\.ts$', '/test/'] },
			{ path: 'node_modules/dockerode/' },
		),
		forbid('not-to-unresolvable', 'Every import resolves.', {}, { couldNotResolve: true }),
		forbid(
			'tests-stay-tests',
			'Code does not import tests.',
			{ pathNot: '(\\.spec\\.ts$|/test/)' },
			{ path: '(\\.spec\\.ts$|/test/)' },
		),
	],
	options: {
		doNotFollow: { path: 'node_modules' },
		exclude: { path: '/dist/' },
		tsPreCompilationDeps: true,
		tsConfig: { fileName: 'tsconfig.json' },
		enhancedResolveOptions: {
			exportsFields: ['exports'],
			conditionNames: ['source', 'import', 'node', 'default'],
			extensions: ['.ts', '.js', '.mjs', '.json'],
		},
	},
};
