/** A host in a process of its own, so that a test can kill it as an operator's mistake would. Prints its address. */
import { startHost } from './host.ts';

const host = await startHost({ name: process.argv[2] ?? 'child', join: process.argv.slice(3) });
process.stdout.write(`${host.node.addresses()[0]}\n`);
// Its timers do not keep a process alive; this does.
process.stdin.resume();
