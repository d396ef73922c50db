/** The latest changes to any key, newest first. */
import { byId, make, preview } from './dom.js';

const SHOWN = 50;
let lastRev = 0;

export function addChange(change) {
	// After a reconnection the server repeats what it remembers.
	if (change.rev <= lastRev) return;
	lastRev = change.rev;
	byId('changes-empty').hidden = true;
	const list = byId('changes');
	list.prepend(entry(change));
	while (list.childElementCount > SHOWN) list.lastElementChild.remove();
}

function entry(change) {
	const text = change.type === 'delete' ? 'deleted' : preview(change);
	return make('li', 'row fresh', [
		make(
			'div',
			'change',
			[
				make('span', 'row-key', [change.key]),
				make('span', 'row-rev', [`rev ${change.rev}`]),
				make('span', 'row-value', [text]),
			],
			{ 'data-type': change.type },
		),
	]);
}
