/** Small helpers over the DOM. Text only ever becomes text: no value from the store is parsed as HTML. */

/** The element with this id; the page and its scripts are written together, so it is there. */
export function byId(id) {
	return document.getElementById(id);
}

/** An element with a class, attributes and children. */
export function make(tag, className, children = [], attributes = {}) {
	const element = document.createElement(tag);
	if (className !== '') element.className = className;
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	element.append(...children);
	return element;
}

/** One line of a value, for lists. */
export function preview({ value, encoding }) {
	if (encoding === 'base64') return `(binary) ${value.slice(0, 120)}`;
	return value === '' ? '(empty)' : value.slice(0, 200).replaceAll(/\s+/g, ' ');
}

/** The end of a peer ID: all of them begin alike. */
export function shortId(peer) {
	return peer.length > 8 ? `…${peer.slice(-6)}` : peer;
}
