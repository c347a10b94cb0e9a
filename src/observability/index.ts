/** Observability of the service: metrics, statistics, drift and traces, all of them observers of scoring. */
export { DriftMonitor, driftOf, driftWindow, type LayerDrift } from './drift.js';
export { type LastDay, LastDayMonitor } from './last-day.js';
export { defaultMetricsDetectors, type MetricSources, Metrics, type RepositoryFigures } from './metrics.js';
export { type Duration, Statistics, type VersionStatistics } from './statistics.js';
export type { TracedRequest, Traces } from './traces.js';
