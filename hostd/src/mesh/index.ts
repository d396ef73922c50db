/**
 * The machine node: who is in the mesh, sessions with them, tenders by gossip, leases and providers in the machine DHT.
 * Lead a host into its mesh with `createMeshNode`; more contracts are served on `mesh.rpc.services`.
 */
export type { PresenceSource } from './announcer.ts';
export { type Alarm, type Clock, createAlarm, systemClock } from './clock.ts';
export { admissionSchema, MachineApi, REASON_CHARS_MAX } from './contract.ts';
export type { HostEvent } from './core/presence.ts';
export type { RateConfig } from './core/rate.ts';
export type { MachinePrincipal } from './hello.ts';
export { type Admitted, Intake, type Kind } from './intake.ts';
export { createMeshNode, type MeshOptions } from './libp2p/index.ts';
export { Membership } from './membership.ts';
export type { MeshNode } from './node.ts';
export type { Dht, Gossip, GossipHandler, Verdict } from './ports.ts';
