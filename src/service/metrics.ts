/** What the service measures, for Prometheus. One registry an app, so that two apps do not mix. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { DetectorRepository } from '../repository/index.js';
import { DriftMonitor, driftWindow } from './drift.js';

const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

/** What the gauges of detectors show. */
export type RepositoryFigures = Pick<DetectorRepository, 'size' | 'loaded' | 'refused' | 'unverified'>;

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  // Gauges that are named like counters confuse what reads them.
  for (const kind of ['handles', 'requests', 'resources'])
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[] = [],
    buckets = durations,
  ) => new Histogram({ name, help, labelNames, buckets, registers });
  const queueLength = {
    measure: () => 0,
  };
  const repository = {
    measure: (): RepositoryFigures => ({ size: 0, loaded: 0, refused: 0, unverified: () => [] }),
  };
  const drift = new DriftMonitor();
  return {
    registry,
    /** Ends the series of a detector that is there no longer. */
    async forget(detector: string): Promise<void> {
      drift.forget(detector);
      await removeSeries(registry, detector);
    },
    /** Told of every image that was scored. */
    drift,
    layerDrift: new Gauge({
      name: 'mkd_layer_drift',
      help: `Shift of the lower quartile of a layer's direction discrepancy over the last ${driftWindow.images} images, in interquartile ranges of the good images held back`,
      labelNames: ['detector', 'layer'] as const,
      registers,
      collect() {
        this.reset();
        for (const { detector, layer, drift: shift } of drift.measure()) this.set({ detector, layer }, shift);
      },
    }),
    layerDirections: histogram(
      'mkd_layer_direction_discrepancy',
      'Direction discrepancy of each scoring layer',
      ['detector', 'layer'],
      [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1],
    ),
    /** Hands in what `mkd_queue_images` shows. */
    observeQueue(measure: () => number): void {
      queueLength.measure = measure;
    },
    /** Hands in what `mkd_detectors` and the gauges beside it show. */
    observeDetectors(measure: () => RepositoryFigures): void {
      repository.measure = measure;
    },
    requests: new Counter({
      name: 'mkd_requests_total',
      help: 'Requests answered',
      labelNames: ['route', 'method', 'status'] as const,
      registers,
    }),
    requestSeconds: histogram('mkd_request_duration_seconds', 'Time to answer a request', ['route']),
    decodeSeconds: histogram('mkd_decode_seconds', 'Time to decode and scale an image'),
    queueSeconds: histogram('mkd_queue_seconds', 'Time an image waits for its batch to start'),
    batchSize: histogram('mkd_batch_images', 'Images in a batch', [], [1, 2, 4, 8, 16, 32, 64]),
    queueLength: new Gauge({
      name: 'mkd_queue_images',
      help: 'Images that wait for the device',
      registers,
      collect() {
        this.set(queueLength.measure());
      },
    }),
    inferenceSeconds: histogram('mkd_inference_seconds', 'Time of a batch in the runtime', ['map']),
    renderSeconds: histogram('mkd_render_seconds', 'Time to render a picture of a map', ['artifact']),
    scores: histogram(
      'mkd_anomaly_score_threshold_ratio',
      'Anomaly scores divided by the threshold of their detector',
      ['detector'],
      [0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10],
    ),
    verdicts: new Counter({
      name: 'mkd_verdicts_total',
      help: 'Verdicts given',
      labelNames: ['detector', 'verdict'] as const,
      registers,
    }),
    errors: new Counter({
      name: 'mkd_errors_total',
      help: 'Errors by kind, of requests and of single images',
      labelNames: ['kind'] as const,
      registers,
    }),
    imagesInFlight: new Gauge({
      name: 'mkd_images_in_flight',
      help: 'Images taken and not yet answered',
      registers,
    }),
    bytesInFlight: new Gauge({
      name: 'mkd_upload_bytes_in_flight',
      help: 'Bytes of requests that are being received or worked on',
      registers,
    }),
    pixelsInFlight: new Gauge({
      name: 'mkd_pixels_in_flight',
      help: 'Pixels of images that are being decoded or scored',
      registers,
    }),
    workerRestarts: new Counter({
      name: 'mkd_worker_restarts_total',
      help: 'Inference workers that were replaced, by cause: crash, hang, asked',
      labelNames: ['cause'] as const,
      registers,
    }),
    provider: new Gauge({
      name: 'mkd_provider_info',
      help: '1 for the execution provider in use',
      labelNames: ['provider'] as const,
      registers,
    }),
    detectors: new Gauge({
      name: 'mkd_detectors',
      help: 'Detectors that serve',
      registers,
      collect() {
        this.set(repository.measure().size);
      },
    }),
    detectorsLoaded: new Gauge({
      name: 'mkd_detectors_loaded',
      help: 'Versions of detectors in memory',
      registers,
      collect() {
        this.set(repository.measure().loaded);
      },
    }),
    detectorsUnverified: new Gauge({
      name: 'mkd_detectors_unverified',
      help: 'Detectors that serve and have not been put to their self-test yet; they are when the service has time, or when first used',
      registers,
      collect() {
        this.set(repository.measure().unverified().length);
      },
    }),
    detectorsRefused: new Gauge({
      name: 'mkd_detectors_refused',
      help: 'Detectors that are refused, or some version of which is',
      registers,
      collect() {
        this.set(repository.measure().refused);
      },
    }),
    ready: new Gauge({ name: 'mkd_ready', help: '1 when requests are taken', registers }),
  };
}

/** Of all metrics that tell detectors apart. */
async function removeSeries(registry: Registry, detector: string): Promise<void> {
  for (const { name, values } of await registry.getMetricsAsJSON()) {
    for (const { labels } of values) {
      if (labels.detector !== detector) continue;
      // `le` belongs to a bucket, not to the series.
      const { le: _, ...series } = labels;
      registry.getSingleMetric(name)?.remove(series);
    }
  }
}
