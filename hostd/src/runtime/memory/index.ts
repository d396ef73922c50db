/** The memory runtime: pods as functions, for tests. */
export { MemoryMachine, MemoryRuntime, type MemoryRuntimeOptions } from './memory-runtime.ts';
export type { Program, ProgramContext } from './program.ts';
