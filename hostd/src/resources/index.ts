/** What this machine has, and who holds how much of it. */
export {
	type Accountant,
	type Claim,
	type ClaimPhase,
	createAccountant,
	type HostPort,
	NO_RESOURCES,
	type Usage,
} from './core/accountant.ts';
export { allocatableOf, capacityOf, DEFAULT_SYSTEM_RESERVE, type MachineFacts } from './core/allocatable.ts';
export { type ReaderOptions, readMachineFacts } from './reader.ts';
