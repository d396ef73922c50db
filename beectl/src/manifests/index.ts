/** Kubernetes manifests in: read, checked, typed. */
export { nearest } from './issues.ts';
export { type Loaded, type LoadedWorkload, loadManifests } from './load.ts';
export { readSources } from './sources.ts';
