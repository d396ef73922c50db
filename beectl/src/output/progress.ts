/**
 * What happens while it happens: on a terminal, one block of lines per workload redrawn in place; elsewhere, one plain
 * line per thing that happened.
 */
import { stripVTControlCharacters } from 'node:util';
import { printable } from './table.ts';
import { paint, type Terminal } from './terminal.ts';

type Tone = 'plain' | 'good' | 'bad';

export interface WorkloadProgress {
	/** Something happened to the workload as a whole. */
	note(text: string): void;
	/** The state of one slot. Saying the same again shows nothing new. */
	slot(slot: number, text: string, tone?: Tone): void;
}

interface Block {
	readonly title: string;
	note: string;
	readonly slots: Map<number, { readonly text: string; readonly tone: Tone }>;
}

export class Progress {
	readonly #terminal: Terminal;
	readonly #blocks: Block[] = [];
	#linesDrawn = 0;

	constructor(terminal: Terminal) {
		this.#terminal = terminal;
	}

	workload(title: string): WorkloadProgress {
		const block: Block = { title, note: '', slots: new Map() };
		this.#blocks.push(block);
		return {
			note: (text) => {
				block.note = printable(text);
				if (this.#terminal.isTty) this.#draw();
				else this.#terminal.write(`${title}: ${block.note}\n`);
			},
			slot: (slot, text, tone = 'plain') => {
				if (block.slots.get(slot)?.text === text) return;
				block.slots.set(slot, { text: printable(text), tone });
				if (this.#terminal.isTty) this.#draw();
				else this.#terminal.write(`${title}: slot ${slot} ${printable(text)}\n`);
			},
		};
	}

	/** Prints a line that stays, above the blocks. */
	line(terminal: Terminal, text: string): void {
		this.#erase();
		terminal.write(`${text}\n`);
		if (this.#terminal.isTty) this.#draw();
	}

	#erase(): void {
		if (this.#linesDrawn > 0) this.#terminal.write(`\x1b[${this.#linesDrawn}A\x1b[J`);
		this.#linesDrawn = 0;
	}

	#draw(): void {
		this.#erase();
		const full = this.#blocks.flatMap((block) => [this.#head(block), ...this.#slotLines(block)]);
		const roomFor = this.#terminal.rows() - 2;
		const lines = (full.length <= roomFor ? full : this.#blocks.map((block) => this.#head(block))).slice(0, roomFor);
		const width = this.#terminal.columns() - 1;
		for (const line of lines)
			this.#terminal.write(
				`${stripVTControlCharacters(line).length > width ? stripVTControlCharacters(line).slice(0, width) : line}\n`,
			);
		this.#linesDrawn = lines.length;
	}

	#head({ title, note, slots }: Block): string {
		const good = [...slots.values()].filter(({ tone }) => tone === 'good').length;
		const count = slots.size === 0 ? '' : ` ${good}/${slots.size}`;
		return `${paint(this.#terminal, 'bold', title)}${count}  ${paint(this.#terminal, 'dim', note)}`;
	}

	#slotLines({ slots }: Block): string[] {
		return [...slots]
			.sort(([a], [b]) => a - b)
			.map(([slot, { text, tone }]) => {
				const style = tone === 'good' ? 'green' : tone === 'bad' ? 'red' : undefined;
				return `  ${slot}  ${style === undefined ? text : paint(this.#terminal, style, text)}`;
			});
	}
}
