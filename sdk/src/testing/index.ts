/** For an app's own tests. */
export { createTestMesh, type TestJoinOptions, type TestMesh } from './mesh.ts';
