import { isMeshError } from '@beemesh/sdk/errors';
import type { Command } from '../cli/command.ts';
import { outputOf, printData } from '../output/print.ts';
import { VERSION } from '../version.ts';

export const version: Command = {
	name: 'version',
	summary: 'print the versions of beectl and of its host',
	usage: ['version [options]'],
	options: {
		client: { type: 'boolean', help: 'only that of beectl; no host is asked' },
		output: { type: 'string', short: 'o', value: 'FORMAT', help: 'json or yaml' },
	},
	examples: [['version', 'versions of beectl and of the host it talks to']],
	async run(input, cli) {
		const output = outputOf(input.text('output'));
		const host = input.flag('client') ? undefined : await hostInfo(cli);
		if (output === 'json' || output === 'yaml') {
			printData(cli.out, output, { beectl: VERSION, ...(host === undefined ? {} : { host }) });
			return;
		}
		cli.out.write(`beectl ${VERSION}\n`);
		if (host !== undefined)
			cli.out.write(`hostd  ${host.version} (${host.name}, ${host.runtimeVersion}, mesh ${host.mesh})\n`);
	},
};

async function hostInfo(cli: Parameters<Command['run']>[1]) {
	try {
		const { api } = await cli.connect('anybody');
		return await api.info({}, { signal: cli.signal });
	} catch (error) {
		if (!isMeshError(error, 'unavailable')) throw error;
		cli.err.write(`note: ${error.message}\n`);
		return undefined;
	}
}
