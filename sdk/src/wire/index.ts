/** Message types, identifiers, records and limits that both planes share. Pure. */
export * from './dag-cbor.ts';
export * from './epoch-records.ts';
export * from './fields.ts';
export * from './ids.ts';
export * from './kube.ts';
export * from './labels.ts';
export * from './limits.ts';
export * from './machine-records.ts';
export * from './manifest-schema.ts';
export * from './records.ts';
export * from './workload-records.ts';
