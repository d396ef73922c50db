/** The process runtime: containers as process groups of this host. */
export type { ProcessImage, ProcessImages } from './images.ts';
export { ProcessRuntime, type ProcessRuntimeOptions } from './process-runtime.ts';
