/**
 * Lets glibc keep two arenas of memory instead of eight per core: the threads of the native QUIC addon leave in each what a
 * burst of connections took once, which is 25 MiB after a flood. Read by glibc when a program begins, so this one begins
 * again, in the same process. To be imported before everything else, which would be loaded twice.
 */
const ARENAS = '2';
const { env, platform, execPath, execArgv, argv } = process;

if (platform === 'linux' && env['MALLOC_ARENA_MAX'] === undefined)
	process.execve?.(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...env, MALLOC_ARENA_MAX: ARENAS });
