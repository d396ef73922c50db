/**
 * One process, one log directory. The lock is the kernel's: SQLite takes a POSIX record lock on an empty file, and
 * the kernel drops it when the process ends, however it ends. A pid in a file would need guessing after a SIGKILL,
 * and guesses wrong across containers, whose processes all call themselves 1.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MeshError } from '../../../errors.ts';

const SQLITE_BUSY = 5;

/** Throws `conflict` when somebody holds it, in this process or another. */
export function lockDirectory(directory: string): Disposable {
	const path = join(directory, 'LOCK');
	const database = new DatabaseSync(path, { timeout: 0 });
	try {
		database.exec('BEGIN EXCLUSIVE');
	} catch (cause) {
		database.close();
		if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) throw cause;
		throw new MeshError(
			'conflict',
			`raft log ${directory} is open in another process; stop that one, or give this one its own directory`,
			{
				cause,
			},
		);
	}
	return { [Symbol.dispose]: () => database.close() };
}
