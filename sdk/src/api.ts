/** Contracts between a host and those who use it; for `hostd` and `beectl`, not for apps. */
export * from './replicas/placement-api.ts';
export * from './replicas/pod-api.ts';
export { contract, rpc } from './streams/rpc/contract.ts';
