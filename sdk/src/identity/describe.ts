/** What a record says, in one line for a person. Nothing here is verified. */
import type { RecordBody, RecordType } from '../wire/index.ts';

/** One sentence about a record's body. Names and IDs in it are as the record has them. */
export function describeRecord<T extends RecordType>(type: T, body: RecordBody<T>): string {
	return DESCRIPTIONS[type](body);
}

const DESCRIPTIONS: { readonly [T in RecordType]: (body: RecordBody<T>) => string } = {
	'mesh-genesis': ({ name }) => `Genesis of the mesh "${name}"`,
	enroller: ({ machineId, serialMin, serialMax }) =>
		`Delegation: machine ${short(machineId)} may renew certificates ${serialMin} to ${serialMax}`,
	'machine-cert': ({ machineId, serial, caps }) =>
		`Certificate ${serial} of machine ${short(machineId)}${caps.length === 0 ? '' : `, which may ${caps.join(', ')}`}`,
	'machine-renewal': ({ machineId }) => `Renewal of the certificate of machine ${short(machineId)}`,
	'machine-csr': ({ name, machineId }) => `Machine "${name}" (${short(machineId)}) asks to be enrolled`,
	'mesh-epoch': ({ seq, revoked }) => `Epoch ${seq} of a mesh, with ${count(revoked.length, 'machine')} revoked`,
	'owner-root': ({ owner }) => `Public keys of the owner ${short(owner)}`,
	genesis: ({ owner }) => `Genesis of a workload of the owner ${short(owner)}`,
	charter: ({ kind, namespace, name, era, replicas, deleted }) =>
		deleted
			? `Charter of ${kind} ${namespace}/${name}, era ${era}: deleted`
			: `Charter of ${kind} ${namespace}/${name}, era ${era}: ${count(replicas, 'replica')}`,
	'tender-grant': ({ wid, quota }) => `Grant to place up to ${count(quota, 'replica')} of the workload ${short(wid)}`,
	tender: ({ slots, wid, requester }) =>
		`Tender for ${count(slots.length, 'slot')} of the workload ${short(wid)}, asked by machine ${short(requester)}`,
	award: ({ slot, gen, machineId, requester }) =>
		`Award of slot ${slot}, generation ${gen}, to machine ${short(machineId)} by machine ${short(requester)}`,
	lease: ({ slot, gen, machineId }) => `Lease: machine ${short(machineId)} deploys slot ${slot}, generation ${gen}`,
	csr: ({ replicaId, slot, gen }) =>
		`Replica ${short(replicaId)} asks to be admitted as slot ${slot}, generation ${gen}`,
	'host-statement': ({ machineId, awardId }) =>
		`Machine ${short(machineId)} states which request for admission belongs to award ${awardId}`,
	'replica-cert': ({ namespace, name, slot, gen, machineId }) =>
		`Certificate of ${namespace}/${name} slot ${slot}, generation ${gen}, on machine ${short(machineId)}`,
	epoch: ({ era, e, wid, members }) =>
		`Epoch ${e} (era ${era}) of the workload ${short(wid)}, with ${count(members.length, 'member')}`,
	'service-record': ({ replicaId, slot, ready, leaving, left }) =>
		`Replica ${short(replicaId)} of slot ${slot} is ${left ? 'gone' : leaving ? 'leaving' : ready ? 'ready' : 'not ready'}`,
	presence: ({ name, machineId, pods, leaving }) =>
		`Host "${name}" (${short(machineId)}) is ${leaving ? 'leaving' : 'there'}, with ${count(pods, 'pod')}`,
	'workload-end': ({ wid, owner, era }) => `The owner ${short(owner)} has ended the workload ${short(wid)}, era ${era}`,
};

/** The end of an ID: its beginning is the same in all. */
function short(id: string): string {
	return `…${id.slice(-8)}`;
}

function count(n: number, noun: string): string {
	return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
