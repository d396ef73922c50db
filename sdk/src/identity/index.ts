/** Keys, signed records and chains of trust. */
export * from './armor.ts';
export * from './award-bundle.ts';
export * from './describe.ts';
export * from './epochs/index.ts';
export * from './group-seal.ts';
export * from './invite.ts';
export * from './keys.ts';
export * from './machine.ts';
export * from './machine-trust.ts';
export * from './mesh-bundle.ts';
export * from './owner.ts';
export * from './peer-key.ts';
export * from './records.ts';
export { suite } from './suite/index.ts';
export * from './ulid.ts';
export * from './workload.ts';
