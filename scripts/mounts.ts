/** What is mounted below a folder, outermost first: container storage must be unmounted before its folder goes. */
import { readFileSync } from 'node:fs';

export function mountsBelow(folder: string): string[] {
	return readFileSync('/proc/self/mounts', 'utf8')
		.split('\n')
		.map((line) => line.split(' ')[1] ?? '')
		.filter((path) => path.startsWith(`${folder}/`));
}
