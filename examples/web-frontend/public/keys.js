/** The list of keys under a prefix: read once, then kept current by the changes that arrive. */
import { listKeys } from './api.js';
import { byId, make, preview } from './dom.js';

const LIMIT = 500;

/** Per key the latest change seen, also of deleted keys: a list that was read earlier must not bring them back. */
const seen = new Map();
let rows = new Map();
let more = false;
let selected;
let choose = () => {};
let reading = 0;

/** `onChoose(key)` runs when somebody clicks a key. */
export function startKeys(onChoose) {
	choose = onChoose;
	byId('prefix').addEventListener('input', () => void reloadKeys());
}

/** Reads the list anew; throws nothing: without an answer the old list stays. */
export async function reloadKeys() {
	const turn = ++reading;
	const page = await listKeys(byId('prefix').value, LIMIT).catch(() => undefined);
	// A slower answer to an earlier question must not overwrite this one.
	if (page === undefined || turn !== reading) return;
	rows = new Map(page.items.map((item) => [item.key, item]));
	more = page.next !== undefined;
	for (const [key, change] of seen) {
		if (change.rev > page.rev) apply(change);
		else seen.delete(key);
	}
	draw();
}

export function keyChanged(change) {
	seen.set(change.key, change);
	if (apply(change)) draw(change.key);
}

export function selectKey(key) {
	selected = key;
	draw();
}

function apply(change) {
	if (!change.key.startsWith(byId('prefix').value)) return false;
	if ((rows.get(change.key)?.rev ?? 0) >= change.rev) return false;
	if (change.type === 'delete') rows.delete(change.key);
	else rows.set(change.key, change);
	return true;
}

function draw(fresh) {
	const list = byId('keys');
	const focused = document.activeElement?.closest('#keys .row')?.dataset.key;
	const sorted = [...rows.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, LIMIT);
	list.replaceChildren(...sorted.map((item) => row(item, item.key === fresh)));
	if (focused !== undefined) list.querySelector(`[data-key="${CSS.escape(focused)}"] button`)?.focus();
	const count = sorted.length;
	byId('keys-count').textContent =
		count === 0 ? '' : `${count}${more ? ' or more' : ''} ${count === 1 ? 'key' : 'keys'}`;
	const empty = byId('keys-empty');
	empty.hidden = count > 0;
	empty.textContent =
		byId('prefix').value === '' ? 'No keys yet. Save one: every replica will have it.' : 'No key starts with this.';
}

function row(item, fresh) {
	const button = make(
		'button',
		'',
		[
			make('span', 'row-key', [item.key]),
			make('span', 'row-rev', [`rev ${item.rev}`]),
			make('span', 'row-value', [preview(item)]),
		],
		{ type: 'button' },
	);
	button.addEventListener('click', () => choose(item.key));
	const attributes = { 'data-key': item.key, ...(item.key === selected ? { 'aria-current': 'true' } : {}) };
	return make('li', fresh ? 'row fresh' : 'row', [button], attributes);
}
