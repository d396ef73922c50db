/** The Podman runtime: pods as containers, through Podman's API socket. */
export { PodmanRuntime, type PodmanRuntimeOptions } from './podman-runtime.ts';
