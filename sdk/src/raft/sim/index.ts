/** The simulation of a Raft group. For tests and `npm run sim`; nothing here runs in production. */
export type { Rule } from './checkers.ts';
export type { SimulationOptions, SimulationResult } from './simulation.ts';
export { simulate } from './simulation.ts';
