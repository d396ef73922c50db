/**
 * Membership of workloads: epochs, each signed by members of the one before, from the owner's first. Pure: no clock, no
 * I/O. The caller passes links on, gathers signatures, and acts on who has joined and left.
 *
 * To change membership: `draft` → every co-signer `mayCosign` and `signRecordPart('epoch', …)` → `linkOf` → `offer` to
 * everybody, oneself included.
 */
export * from './admission.ts';
export * from './certificate.ts';
export * from './chain.ts';
export { draftCheckpoint, requireCheckpoint } from './checkpoint.ts';
export {
	type EpochChange,
	type EpochDraft,
	type EpochDraftOptions,
	type FoundingOptions,
	foundingEpoch,
} from './draft.ts';
export * from './group-key.ts';
export type { Member } from './members.ts';
export type { EpochName, EpochPosition, ForkEvidence } from './order.ts';
export * from './roster.ts';
export { EPOCH_RULES, type EpochRule } from './rules.ts';
export { compareCharters, signaturesNeeded } from './terms.ts';
