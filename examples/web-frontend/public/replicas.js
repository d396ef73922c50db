/** The comb: who replicates the store, who leads, and which replicas serve this page. */
import { byId, make, shortId } from './dom.js';

export function showOverview({ store, self, trouble }) {
	byId('store-name').textContent = store.workload;
	document.title = `${store.workload} on Beemesh`;
	const banner = byId('trouble');
	banner.hidden = trouble === undefined;
	// Only on change, or a screen reader would read it again with every event.
	const text = trouble?.message ?? '';
	if (banner.textContent !== text) banner.textContent = text;
	banner.dataset.code = trouble?.code ?? '';
	byId('consensus').textContent = store.term === 0 ? '' : `term ${store.term} · log committed to ${store.commitIndex}`;
	byId('replicas').replaceChildren(...store.replicas.map((replica) => cell(replica, store)));
	byId('own-replicas').replaceChildren(...self.replicas.map((replica) => chip(replica, self.workload)));
}

function cell({ replica, name = shortId(replica ?? ''), ready, rttMs, status }, store) {
	const role = roleOf(status, replica, store.leader);
	const ordinal = /-(\d+)$/.exec(name)?.[1] ?? '?';
	return make(
		'li',
		'cell',
		[
			make('span', 'hex', [ordinal], { 'aria-hidden': 'true' }),
			make('div', 'cell-text', [
				make('div', 'cell-name', [name, make('span', 'role', [wordFor(role, ready)])]),
				make('div', 'cell-facts', [facts(status)]),
				make('div', 'cell-id', [where(replica, rttMs)], { title: replica ?? '' }),
			]),
		],
		{ 'data-role': role, 'data-name': name },
	);
}

function roleOf(status, replica, leader) {
	if (status === undefined) return 'away';
	if (replica === leader) return 'leader';
	return status.role === 'leader' ? 'deposed' : status.role;
}

function wordFor(role, ready) {
	if (role === 'away') return 'does not answer';
	if (role === 'deposed') return 'lost its majority';
	return ready || role !== 'follower' ? role : 'starting';
}

function facts(status) {
	return status === undefined ? 'still a member of the group' : `term ${status.term} · committed ${status.commitIndex}`;
}

function where(replica, rttMs) {
	if (replica === undefined) return 'not found on the mesh';
	const distance = rttMs === undefined ? '' : ` · ${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms away`;
	return `${shortId(replica)}${distance}`;
}

function chip({ replica, self }, workload) {
	const id = make('code', '', [shortId(replica)], { title: replica });
	return make('li', 'chip', [`${workload} `, id, self ? ' (this one)' : ''], { 'data-self': String(self) });
}
