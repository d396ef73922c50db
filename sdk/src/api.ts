/** Contracts between a host and those who use it; for `hostd` and `beectl`, not for apps. */

export { parseCpuMillis, parseQuantity } from './replicas/core/quantity.ts';
export { requirementsOf } from './replicas/core/requirements.ts';
export { openReasons, sealRefusal } from './replicas/place-reasons.ts';
export * from './replicas/placement-api.ts';
export * from './replicas/pod-api.ts';
export { type TenderRequest, tenderFor } from './replicas/tender.ts';
export { contract, rpc } from './streams/rpc/contract.ts';
