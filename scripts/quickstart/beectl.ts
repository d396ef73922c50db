/** The real `beectl`, as a person would run it. */
import { spawn } from 'node:child_process';

export interface Pod {
	readonly podId: string;
	readonly name: string;
	readonly workload: string;
	readonly ready: boolean;
	readonly role: string;
	readonly machineName: string;
	readonly endpoints: readonly { readonly name: string; readonly address: string }[];
	readonly pids: readonly number[];
}

export interface PodList {
	readonly items: readonly Pod[];
	readonly hostsSilent: readonly string[];
}

export interface Beectl {
	/** Runs with this terminal; rejects when it fails. */
	show(...args: string[]): Promise<void>;
	/** Runs quietly; resolves with what it printed. */
	read(...args: string[]): Promise<string>;
	pods(): Promise<readonly Pod[]>;
	/** With the machine ids of hosts that did not answer: their pods are missing. */
	podList(): Promise<PodList>;
}

export interface BeectlOptions {
	readonly node: string;
	readonly main: string;
	/** Files of the owner's key and of the mesh's root. */
	readonly owner: string;
	readonly mesh: string;
	readonly socket: () => string;
}

export function createBeectl({ node, main, owner, mesh, socket }: BeectlOptions): Beectl {
	const run = (args: readonly string[], show: boolean): Promise<string> =>
		new Promise((resolve, reject) => {
			const child = spawn(node, [main, '--host', socket(), '--owner', owner, '--mesh', mesh, ...args], {
				stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
			});
			let out = '';
			let err = '';
			child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
			child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
			child.on('error', reject);
			child.on('close', (code) => {
				if (code === 0) resolve(out);
				else reject(new Error(`beectl ${args.join(' ')} ended with ${code}${err === '' ? '' : `: ${err.trim()}`}`));
			});
		});
	const podList = async (): Promise<PodList> => JSON.parse(await run(['get', 'pods', '-o', 'json'], false)) as PodList;
	return {
		show: async (...args) => {
			await run(args, true);
		},
		read: (...args) => run(args, false),
		pods: async () => (await podList()).items,
		podList,
	};
}
