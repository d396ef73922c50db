/** What owners' tools need to speak to a host, and what answers them in their tests. */
export * from './contract.ts';
export { hostOwnerIdentity, type OwnerPrincipal } from './host-identity.ts';
export * from './owner-session.ts';
export { type Ask, askFor, readAsk, refusal, writeAnswer } from './preface.ts';
