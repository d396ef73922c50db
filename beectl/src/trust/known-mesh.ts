/**
 * Which mesh beectl talks to. Named by the user, or made here, or met once and remembered, as ssh knows hosts: the first
 * mesh is taken on trust and said so; another one later is refused.
 */
import { readFile, rm } from 'node:fs/promises';
import { MeshError } from '@beemesh/sdk/errors';
import { decodeInvite, encodeInvite, type OpenedMesh, openMesh } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import type { Cli, Files } from '../cli/command.ts';
import { readMeshFileIfAny } from '../mesh/mesh-file.ts';
import { type FileWords, readPrivateFile, replacePrivateFile } from '../secrets/private-file.ts';

const WORDS: FileWords = { what: 'the known mesh', option: '--owner', missing: 'it is made at first contact' };

/** A mesh that is ours. */
export interface MeshTrust {
	readonly mesh: OpenedMesh;
	/** Machines of it that are known here to be out. */
	readonly revoked: readonly MachineId[];
	/** To be called when a host has proved to be of it. */
	met(): Promise<void>;
}

/** Whether a mesh that a host shows is ours: known, or the first one that is met. Throws `unauthorized` for another one. */
export async function trustedMesh(cli: Pick<Cli, 'files' | 'socket' | 'err'>, genesis: Uint8Array): Promise<MeshTrust> {
	const known = await knownMeshes(cli.files);
	const shown = openMesh(genesis);
	const ours = known.find(({ mesh }) => mesh.cid === shown.cid);
	if (ours !== undefined) return { mesh: ours.mesh, revoked: ours.revoked, met: async () => undefined };
	if (known.length > 0) throw otherMesh(cli, shown, known);
	return {
		mesh: shown,
		revoked: [],
		async met() {
			await rememberMesh(cli.files.knownMesh, shown);
			cli.err.write(
				`note: first contact with the mesh "${shown.body.name}" (${shown.cid}); from now on no other is accepted, see \`beectl mesh trust --help\`\n`,
			);
		},
	};
}

export async function rememberMesh(file: string, mesh: OpenedMesh): Promise<void> {
	await replacePrivateFile(file, encodeInvite({ mesh, join: [] }), WORDS);
}

export async function forgetMesh(file: string): Promise<void> {
	await rm(file, { force: true });
}

/** A genesis from an invitation, or from a file that holds the bare record. */
export async function readGenesis(file: string): Promise<OpenedMesh> {
	const bytes = await readFile(file).catch((cause: Error) => {
		throw new MeshError('invalid_input', `cannot read the mesh's invitation ${file}: ${cause.message}`, { cause });
	});
	try {
		return bytes[0] === 0x2d || /^\s/.test(bytes.toString('latin1', 0, 1))
			? decodeInvite(bytes.toString('utf8')).mesh
			: openMesh(new Uint8Array(bytes));
	} catch (cause) {
		throw new MeshError(
			'invalid_input',
			`${file} is neither an invitation (\`beectl mesh invite\`) nor a mesh's genesis: ${(cause as Error).message}`,
			{ cause },
		);
	}
}

interface KnownMesh {
	readonly mesh: OpenedMesh;
	readonly revoked: readonly MachineId[];
	readonly from: string;
}

/** A mesh that was named is the only one; else the one made here and the one met before. */
async function knownMeshes(files: Files): Promise<readonly KnownMesh[]> {
	if (files.genesis !== undefined)
		return [{ mesh: await readGenesis(files.genesis), revoked: [], from: files.genesis }];
	const made = await readMeshFileIfAny(files.mesh);
	const met = await readKnownMesh(files.knownMesh);
	return [
		...(made === undefined ? [] : [{ mesh: made.mesh, revoked: made.epoch.body.revoked, from: files.mesh }]),
		...(met === undefined ? [] : [{ mesh: met, revoked: [], from: files.knownMesh }]),
	];
}

/** The mesh met before. */
export async function readKnownMesh(file: string): Promise<OpenedMesh | undefined> {
	let text: string;
	try {
		text = await readPrivateFile(file, WORDS);
	} catch (error) {
		if (error instanceof MeshError && error.code === 'not_found') return undefined;
		throw error;
	}
	try {
		return decodeInvite(text).mesh;
	} catch (cause) {
		throw new MeshError(
			'invalid_input',
			`${file} holds no mesh (${(cause as Error).message}); forget it with \`beectl mesh trust --reset\``,
			{ cause },
		);
	}
}

function otherMesh(
	{ socket, files }: Pick<Cli, 'files' | 'socket'>,
	met: OpenedMesh,
	known: readonly KnownMesh[],
): MeshError {
	const lines = [
		`the host at ${socket} is of another mesh than the one known here; nothing was sent to it`,
		`  it shows   "${met.body.name}" (${met.cid})`,
		...known.map(({ mesh, from }) => `  known is   "${mesh.body.name}" (${mesh.cid}), from ${from}`),
		files.genesis === undefined
			? '  If it is meant, take its invitation (`beectl mesh invite`, from its operator) and say `beectl mesh trust FILE`;\n  `beectl mesh trust --reset` takes the next mesh that is met, on trust'
			: '  If it is meant, name its invitation with --mesh-genesis',
	];
	return new MeshError('unauthorized', lines.join('\n'));
}
