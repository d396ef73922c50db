/** Who the replicas of a workload are, where, and whether they live. */
export { type Advertisement, createAdvertisementReader, encodeAdvertisement, RECORD_TTL_MS } from './advertisement.ts';
export * from './core/index.ts';
export {
	Directory,
	type DirectoryListener,
	type DirectoryOptions,
	type PeerPrincipal,
	type RecordChange,
} from './directory.ts';
export type { NetworkEnd, NetworkOptions, OpenNetwork, WorkloadDht } from './network.ts';
export { type CosignPapers, PeerApi } from './peer-api.ts';
export { ReplicaSession } from './session-identity.ts';
export { Trust } from './trust.ts';
export { type MemberEvent, WorkloadView } from './view.ts';
