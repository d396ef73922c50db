/** The typed contract over a store: what other workloads of the mesh call. */
import { fail, type Impl } from '@beemesh/sdk';
import type { KvContract } from './contract.ts';
import { LIMITS } from './limits.ts';
import type { Store } from './store.ts';

type KvMethods = (typeof KvContract)['methods'];

export function kvService(store: Store): Impl<KvMethods, { readonly signal: AbortSignal }> {
	return {
		async get({ key, ...options }) {
			const entry = await store.get(key, options);
			return entry === undefined ? {} : { entry };
		},
		async put({ key, value, ...options }) {
			return { rev: await store.put(key, value, options) };
		},
		async delete({ key, ...options }) {
			const rev = await store.delete(key, options);
			return rev === undefined ? {} : { rev };
		},
		async list({ prefix, limit = LIMITS.listItemsDefault, ...options }) {
			const page = await store.list(prefix, { ...options, limit });
			return { ...page, items: [...page.items] };
		},
		async *watch({ prefix, from }, { signal }) {
			const changes = await store.watch(prefix, from === undefined ? { signal } : { from, signal });
			yield {};
			for await (const change of changes) yield { change };
			if (!signal.aborted) fail('exhausted', 'the stream of changes ended; watch again from the last revision seen');
		},
		async status() {
			const status = store.status();
			return { ...status, members: [...status.members] };
		},
	};
}
