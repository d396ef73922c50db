/** Runs pods: the `Runtime` contract and its implementations. */

export * from './last-lines.ts';
export * from './memory/index.ts';
export * from './process/index.ts';
export type * from './runtime.ts';
