/** Sizes that kv-store holds its clients to, in bytes and counts. HTTP and typed calls share them. */
export const LIMITS = {
	/** A key, as UTF-8. */
	keyBytesMax: 1024,
	/** A value: with its key it must fit into one entry of the Raft log, and a few of them into one message. */
	valueBytesMax: 512 * 1024,
	/** Keys of one page of a list. */
	listItemsMax: 1000,
	listItemsDefault: 100,
	/** Values of one page of a list, unless a single one is larger. */
	listBytesMax: 1024 * 1024,
} as const;
