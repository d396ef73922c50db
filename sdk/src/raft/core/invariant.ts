/** States believed impossible. A node that breaks one must stop: going on could acknowledge what is lost. */
export function invariant(fact: boolean, message: string): asserts fact {
	if (!fact) throw new Error(`Raft invariant broken: ${message}`);
}
