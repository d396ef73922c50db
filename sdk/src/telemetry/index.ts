/** Logs and metrics as interfaces; silent unless someone injects an implementation. */
export { createLogger, type LogLevel, type LogSink } from './logger.ts';
export { createMetrics, type MetricsRegistry } from './metrics.ts';
export { type Labels, type LogFields, type Logger, type Metrics, silentLogger, silentMetrics } from './types.ts';
