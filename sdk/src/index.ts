/** `@beemesh/sdk`: identity, discovery, typed encrypted calls, self-healing replicas and Raft state from one import. */
export { type Applied, fail, isMeshError, type MeshCode, MeshError } from './errors.ts';
export type { Group, GroupEvent, GroupRole, Machine, MemberStatus } from './raft/group.types.ts';
export type { Kv, KvItem, KvWatchEvent } from './raft/kv.ts';
export {
	type Contract,
	contract,
	type Duration,
	type Impl,
	type Method,
	type Methods,
	rpc,
} from './streams/rpc/contract.ts';
export type { PeerId } from './wire/ids.ts';
export type { GroupOptions } from './workplane/groups.ts';
export { joinWorkplane } from './workplane/index.ts';
export type {
	Answer,
	CallContext,
	CallOptions,
	CallPolicy,
	Client,
	ClientOptions,
	DrainDefaults,
	DrainReport,
	Events,
	Health,
	JoinOptions,
	Locality,
	MembershipEvent,
	Replica,
	ServeOptions,
	Server,
	ServerStats,
	WorkplaneState,
} from './workplane/types.ts';
export type { Workplane } from './workplane/workplane.ts';
