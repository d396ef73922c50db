/**
 * Metrics in memory, and their Prometheus text (exposition format 0.0.4). Small on purpose: counters, gauges, and
 * histograms with fixed buckets for seconds.
 */
import type { Labels, Metrics } from './types.ts';

/** Seconds; from one fsync to one slow image pull. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** Series per name; more are dropped, so that a label taken from input cannot exhaust memory. */
const SERIES_MAX = 256;

export interface MetricsRegistry extends Metrics {
	/** The Prometheus text of everything recorded so far. */
	render(): string;
}

interface Family {
	readonly type: 'counter' | 'gauge' | 'histogram';
	readonly series: Map<string, { value: number; count: number; buckets: number[] }>;
}

export function createMetrics(): MetricsRegistry {
	const families = new Map<string, Family>();
	const series = (type: Family['type'], name: string, labels: Labels) => {
		const family: Family = families.get(name) ?? { type, series: new Map() };
		families.set(name, family);
		const key = labelText(labels);
		let one = family.series.get(key);
		if (one === undefined) {
			one = { value: 0, count: 0, buckets: type === 'histogram' ? BUCKETS.map(() => 0) : [] };
			if (family.series.size < SERIES_MAX) family.series.set(key, one);
		}
		return one;
	};
	return {
		count(name, labels = {}, by = 1) {
			series('counter', name, labels).value += by;
		},
		gauge(name, value, labels = {}) {
			series('gauge', name, labels).value = value;
		},
		observe(name, value, labels = {}) {
			const one = series('histogram', name, labels);
			one.value += value;
			one.count++;
			BUCKETS.forEach((limit, i) => {
				if (value <= limit) one.buckets[i] = (one.buckets[i] ?? 0) + 1;
			});
		},
		render() {
			const lines: string[] = [];
			for (const [name, family] of [...families].sort(([a], [b]) => a.localeCompare(b))) {
				lines.push(`# TYPE ${name} ${family.type}`);
				for (const [labels, one] of family.series) {
					if (family.type !== 'histogram') {
						lines.push(`${name}${braced(labels)} ${one.value}`);
						continue;
					}
					BUCKETS.forEach((limit, i) => {
						lines.push(`${name}_bucket${braced(labels, `le="${limit}"`)} ${one.buckets[i]}`);
					});
					lines.push(`${name}_bucket${braced(labels, 'le="+Inf"')} ${one.count}`);
					lines.push(`${name}_sum${braced(labels)} ${one.value}`, `${name}_count${braced(labels)} ${one.count}`);
				}
			}
			return `${lines.join('\n')}\n`;
		},
	};
}

function labelText(labels: Labels): string {
	return Object.keys(labels)
		.sort()
		.map(
			(key) =>
				`${key}="${(labels[key] ?? '').replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
		)
		.join(',');
}

function braced(labels: string, extra = ''): string {
	const all = [labels, extra].filter((part) => part !== '').join(',');
	return all === '' ? '' : `{${all}}`;
}
