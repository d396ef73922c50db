/** The host's policy: which pods may run here, for whom. */
export { HostPolicy, type HostPolicyOptions, type PodOrigin } from './host-policy.ts';
export { loadHostPolicy } from './policy-file.ts';
