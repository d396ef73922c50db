/**
 * Placing replicas: tender → bid → award → lease → outcome. Cores decide (`core/`), drivers act. A placement's effects
 * are performed in the core's order; an award's acceptance is on its way before its pod can ask for admission.
 */
export type { BidderConfig } from './core/bidder.ts';
export type { RequesterConfig } from './core/requester.ts';
export { podKey } from './core/types.ts';
export type { Deploy } from './deployer.ts';
export { type AdmissionAsk, createScheduler, type Scheduler, type SchedulerOptions } from './driver.ts';
