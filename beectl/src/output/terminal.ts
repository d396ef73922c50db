/** Where text goes, and what that place can show. */
import { styleText } from 'node:util';

export interface Terminal {
	/** Lines can be redrawn in place. */
	readonly isTty: boolean;
	readonly hasColour: boolean;
	columns(): number;
	rows(): number;
	write(text: string): void;
}

interface TtyLike {
	readonly isTTY?: boolean;
	readonly columns?: number;
	readonly rows?: number;
	write(text: string): unknown;
}

/** Colour only on a terminal, and not when NO_COLOR is set (no-color.org). */
export function terminalOf(stream: TtyLike, env: Readonly<Record<string, string | undefined>>): Terminal {
	const isTty = stream.isTTY === true && env.TERM !== 'dumb';
	return {
		isTty,
		hasColour: isTty && (env.NO_COLOR ?? '') === '',
		columns: () => stream.columns ?? 80,
		rows: () => stream.rows ?? 24,
		write: (text) => void stream.write(text),
	};
}

export function paint(terminal: Terminal, style: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string): string {
	return terminal.hasColour ? styleText(style, text, { validateStream: false }) : text;
}
