/** `npm run bench -- NAME [options]`: one of the programs in bench/. Each ends with one JSON line. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../bench');
const [name, ...args] = process.argv.slice(2);
const file = join(folder, `${name}.ts`);
if (name === undefined || !existsSync(file)) {
	const names = readdirSync(folder).flatMap((entry) => (entry.endsWith('.ts') ? [entry.slice(0, -3)] : []));
	process.stderr.write(`npm run bench -- NAME [options]; NAME is one of: ${names.join(', ')}\n`);
	process.exit(2);
}
const child = spawn(process.execPath, ['--conditions=source', file, ...args], { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
