/** A small app for `dev-processes.spec.ts`: joins, serves, calls; speaks JSON lines with its parent. */
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { contract, isMeshError, joinWorkplane, rpc } from '../../index.ts';

const Echo = contract('echo', '1.0.0', {
	echo: rpc({
		input: v.string(),
		output: v.strictObject({ text: v.string(), slot: v.number(), pid: v.number() }),
		idempotent: true,
	}),
});

const [mesh = '', workload = '', data = ''] = process.argv.slice(2);
const say = (message: Record<string, unknown>): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

const wp = await joinWorkplane({ dev: mesh, workload, ...(data === '' ? {} : { data }) });
await wp.serve(Echo, { echo: (text) => ({ text, slot: wp.self.slot, pid: process.pid }) });
wp.on('member', ({ type, replica }) => say({ event: type, slot: replica.slot, peer: replica.peer }));
// Those met while joining; from here on the events tell.
for (const { slot, peer } of wp.replicas()) if (peer !== wp.self.peer) say({ event: 'added', slot, peer });
say({ event: 'joined', slot: wp.self.slot, gen: wp.self.gen, peer: wp.self.peer });

for await (const line of createInterface({ input: process.stdin })) {
	const { call, text, to } = JSON.parse(line) as { call: string; text: string; to?: string };
	try {
		const client = wp.client(Echo, to === undefined ? {} : { workload: to });
		say({ answer: call, ...(await client.echo(text)) });
	} catch (error) {
		say({ answer: call, code: isMeshError(error) ? error.code : String(error) });
	}
}
await wp.drain();
