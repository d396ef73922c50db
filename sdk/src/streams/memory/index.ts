/** Streams and networks in memory, for tests and for peers in one process. */
export { createMemoryNetwork, type MemoryNetwork } from './network.ts';
export { MemoryStream } from './pair.ts';
