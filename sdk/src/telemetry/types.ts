export type LogFields = Readonly<Record<string, unknown>>;

/** A sentence plus fields. `info` is what an operator wants daily. */
export interface Logger {
	debug(message: string, fields?: LogFields): void;
	info(message: string, fields?: LogFields): void;
	warn(message: string, fields?: LogFields): void;
	error(message: string, fields?: LogFields): void;
	/** A logger whose every line carries these fields. */
	with(fields: LogFields): Logger;
}

export type Labels = Readonly<Record<string, string>>;

/** Base units in names: `beemesh_raft_commit_seconds`, `beemesh_bids_total{outcome}`. */
export interface Metrics {
	count(name: string, labels?: Labels, by?: number): void;
	gauge(name: string, value: number, labels?: Labels): void;
	/** A duration or size for a histogram. */
	observe(name: string, value: number, labels?: Labels): void;
}

export const silentLogger: Logger = {
	debug() {},
	info() {},
	warn() {},
	error() {},
	with: () => silentLogger,
};

export const silentMetrics: Metrics = { count() {}, gauge() {}, observe() {} };
