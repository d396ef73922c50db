/**
 * Read, write and delete one key. A value that was read is saved only if nobody changed it meanwhile (compare and set),
 * unless the box is unticked.
 */
import { deleteKey, readKey, writeKey } from './api.js';
import { byId } from './dom.js';
import { selectKey } from './keys.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The key and revision that the fields show; undefined when they were typed, not read. */
let loaded;

export function startEditor() {
	byId('editor').addEventListener('submit', (event) => {
		event.preventDefault();
		void act(save);
	});
	byId('read').addEventListener('click', () => void act(read));
	byId('delete').addEventListener('click', () => void act(remove));
	byId('key').addEventListener('input', () => {
		if (loaded !== undefined && byId('key').value !== loaded.key) setLoaded(undefined);
	});
}

/** Shows a key that somebody picked from the list. */
export function editKey(key) {
	byId('key').value = key;
	void act(read);
}

async function act(action) {
	const key = byId('key').value;
	if (key === '') {
		say('bad', 'Type a key first.');
		byId('key').focus();
		return;
	}
	const buttons = [...byId('editor').querySelectorAll('button')];
	for (const button of buttons) button.disabled = true;
	say('', '');
	try {
		await action(key);
	} catch (error) {
		say('bad', explain(error, key));
	} finally {
		for (const button of buttons) button.disabled = false;
	}
}

async function read(key) {
	const { bytes, rev } = await readKey(key);
	try {
		byId('value').value = utf8.decode(bytes);
		setLoaded({ key, rev });
		say('good', `Read at revision ${rev}.`);
	} catch {
		setLoaded(undefined);
		byId('value').value = '';
		say('bad', `“${key}” holds ${bytes.length} bytes that are not text; this page does not edit them.`);
	}
}

async function save(key) {
	const { rev } = await writeKey(key, byId('value').value, guard());
	setLoaded({ key, rev });
	say('good', `Saved at revision ${rev}, on a majority of the replicas.`);
}

async function remove(key) {
	const { rev } = await deleteKey(key, guard());
	setLoaded(undefined);
	byId('value').value = '';
	say('good', `Deleted at revision ${rev}.`);
}

function guard() {
	return loaded !== undefined && byId('guard').checked ? loaded.rev : undefined;
}

function setLoaded(next) {
	loaded = next;
	byId('guard-line').hidden = next === undefined;
	byId('guard-rev').textContent = next === undefined ? '' : String(next.rev);
	byId('guard').checked = true;
	selectKey(next?.key);
}

function say(tone, text) {
	const outcome = byId('outcome');
	outcome.dataset.tone = tone;
	outcome.textContent = text;
}

function explain(error, key) {
	switch (error.code) {
		case 'not_found':
			return `There is no key “${key}”.`;
		case 'conflict':
			return error.facts.rev === 0
				? `Not done: somebody deleted “${key}” meanwhile.`
				: `Not done: somebody changed “${key}” meanwhile; it is at revision ${error.facts.rev}. Read it again, or untick the box.`;
		case 'no_quorum':
			return 'Not done: the store has no majority of its replicas right now, so it refuses. Try again when they are back.';
		case 'unknown_outcome':
			return 'No answer came in time: it may or may not have been done. Read the key to see.';
		default:
			return `Not done: ${error.message}`;
	}
}
