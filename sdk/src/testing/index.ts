/** For an app's own tests. */

export { createMemoryNetwork, type MemoryNetwork } from '../streams/memory/index.ts';
export { type Call, checkLinearizable, type LinearizabilityReport } from './linearizable.ts';
export { createTestMesh, type TestJoinOptions, type TestMesh } from './mesh.ts';
