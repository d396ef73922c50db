/** The store's keys by typed calls to any replica of kv-store; the mesh picks which, and retries where that is safe. */
import type { KvContract } from '@beemesh/example-kv-store/contract';
import type { Change, KeyStore } from '@beemesh/example-kv-store/keys';
import type { Client } from '@beemesh/sdk';

export type KvClient = Client<(typeof KvContract)['methods']>;

export function remoteStore(kv: Pick<KvClient, 'get' | 'put' | 'delete' | 'list'>): KeyStore {
	return {
		get: async (key, options) => (await kv.get({ key, ...options })).entry,
		put: async (key, value, options) => (await kv.put({ key, value, ...options })).rev,
		delete: async (key, options) => (await kv.delete({ key, ...options })).rev,
		list: (prefix, options) => kv.list({ prefix, ...options }),
	};
}

/** Changes to any key, from revision `from` on or from now; resolves once the replica listens. */
export async function watchRemote(
	kv: Pick<KvClient, 'watch'>,
	options: { readonly from?: number; readonly signal: AbortSignal },
): Promise<AsyncIterable<Change>> {
	const { signal, ...input } = options;
	const items = kv.watch({ prefix: '', ...input }, { signal })[Symbol.asyncIterator]();
	// The first item says that the replica listens; see the contract.
	await items.next();
	return (async function* () {
		for (let item = await items.next(); item.done !== true; item = await items.next()) {
			if (item.value.change !== undefined) yield item.value.change;
		}
	})();
}
