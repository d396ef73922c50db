/** Puts the page together: one stream of events in, the views out. */
import { openEvents } from './api.js';
import { addChange } from './changes.js';
import { byId } from './dom.js';
import { editKey, startEditor } from './editor.js';
import { keyChanged, reloadKeys, startKeys } from './keys.js';
import { showOverview } from './replicas.js';

startEditor();
startKeys(editKey);

let troubled = false;

openEvents({
	open() {
		connection('live', 'Live');
		void reloadKeys();
	},
	lost() {
		connection('lost', 'Reconnecting…');
	},
	overview(overview) {
		showOverview(overview);
		// The list may have been refused while the store was in trouble.
		if (troubled && overview.trouble === undefined) void reloadKeys();
		troubled = overview.trouble !== undefined;
	},
	change(change) {
		keyChanged(change);
		addChange(change);
	},
	reload() {
		void reloadKeys();
	},
});

function connection(state, text) {
	const pill = byId('connection');
	pill.dataset.state = state;
	pill.textContent = text;
}
