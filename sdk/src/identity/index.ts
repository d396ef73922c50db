/** Keys, signed records and chains of trust. */
export * from './keys.ts';
export * from './records.ts';
export * from './ulid.ts';
export * from './workload.ts';
