/** `beectl mesh …`: what the operator of a mesh does. */
import type { CommandGroup } from '../../cli/command.ts';
import { enroll } from './enroll.ts';
import { publish, revoke, rotatePsk } from './epochs.ts';
import { init } from './init.ts';
import { invite } from './invite.ts';
import { show } from './show.ts';
import { trust } from './trust.ts';

export const mesh: CommandGroup = {
	name: 'mesh',
	summary: 'make a mesh, and let machines in or put them out',
	notes:
		"Whoever has the mesh file and its passphrase decides which machines belong to the mesh. It is needed for these\ncommands only, never by a host: keep it away from the machines of the mesh, and keep a copy. Machines are let in with two\nfiles that may be carried by hand: the machine's request, and the bundle that answers it and only it can open.",
	commands: [init, show, invite, enroll, revoke, rotatePsk, publish, trust],
	examples: [
		['mesh init --name home', 'make a mesh'],
		['mesh enroll bee-1.request -o bee-1.bundle', 'let in the machine that printed this request'],
		['mesh revoke bee-1', 'put it out again'],
	],
};
