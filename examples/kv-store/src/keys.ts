/** For a workload that serves the keys of kv-store over HTTP itself: the routes, and what they need to stand on. */
export { type JsonValue, jsonValue } from './json-value.ts';
export { keyRoutes } from './key-routes.ts';
export type { Change, Entry, KeyStore, Page, ReadOptions, WriteOptions } from './store.ts';
