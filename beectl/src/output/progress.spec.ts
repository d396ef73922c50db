import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';

function recorder(isTty: boolean, rows = 10): { terminal: Terminal; text(): string } {
	let text = '';
	const terminal: Terminal = {
		isTty,
		hasColour: false,
		columns: () => 30,
		rows: () => rows,
		write: (more) => {
			text += more;
		},
	};
	return { terminal, text: () => text };
}

describe('progress', () => {
	it('is one plain line per change where lines cannot be redrawn', () => {
		const { terminal, text } = recorder(false);
		const shown = new Progress(terminal).workload('sts/kv');
		shown.note('tender');
		shown.slot(0, 'starting');
		shown.slot(0, 'starting');
		shown.slot(0, 'ready', 'good');
		expect(text()).to.equal('sts/kv: tender\nsts/kv: slot 0 starting\nsts/kv: slot 0 ready\n');
	});

	it('is redrawn in place on a terminal, cut to its width', () => {
		const { terminal, text } = recorder(true);
		const shown = new Progress(terminal).workload('sts/kv');
		shown.note('tender');
		shown.slot(0, 'a text that is much longer than the terminal is wide', 'good');
		expect(text()).to.equal('sts/kv  tender\n\x1b[1A\x1b[Jsts/kv 1/1  tender\n  0  a text that is much long\n');
	});

	it('shows only heads when the slots do not fit', () => {
		const { terminal, text } = recorder(true, 5);
		const shown = new Progress(terminal).workload('sts/kv');
		for (let slot = 0; slot < 5; slot++) shown.slot(slot, 'ready', 'good');
		expect(text().endsWith('\x1b[Jsts/kv 5/5  \n')).to.equal(true);
	});
});
