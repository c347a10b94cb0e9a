/** Prometheus metrics of the service. Each app has its own registry, so that two apps do not mix. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { replacementCauses } from '../runtime/index.js';
import type {
  ImageOutcome,
  NamedDetector,
  ScoringObserver,
  StageBegan,
  StageEnded,
} from '../scoring/index.js';
import { driftWindow, type LayerDrift } from './drift.js';
import { LabeledDetectors } from './labeled-detectors.js';

const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface RepositoryFigures {
  /** Detectors in service. */
  readonly size: number;
  /** Versions in memory. */
  readonly loaded: number;
  readonly refused: number;
  readonly unverified: number;
}

/** Where gauges read their values when they are scraped. */
export interface MetricSources {
  readonly ready: () => boolean;
  /** The execution provider in use; undefined before the start. */
  readonly provider: () => string | undefined;
  readonly queuedImages: () => number;
  readonly inFlight: () => { readonly images: number; readonly bytes: number; readonly pixels: number };
  readonly repository: () => RepositoryFigures;
  /** @param isWanted whether the drift of a detector is measured. */
  readonly drift: (isWanted: (detector: string) => boolean) => readonly LayerDrift[];
}

/** Detectors with series of their own. */
export const defaultMetricsDetectors = 20;

export class Metrics implements ScoringObserver {
  readonly registry = new Registry();
  readonly #registers = [this.registry];

  readonly #requests = new Counter({
    name: 'mkd_requests_total',
    help: 'Requests answered',
    labelNames: ['route', 'method', 'status'] as const,
    registers: this.#registers,
  });
  readonly #requestSeconds = this.#histogram('mkd_request_duration_seconds', 'Time to answer a request', [
    'route',
  ]);
  readonly #errors = new Counter({
    name: 'mkd_errors_total',
    help: 'Errors by kind, of requests and of single images',
    labelNames: ['kind'] as const,
    registers: this.#registers,
  });
  readonly #unshared = new Counter({
    name: 'mkd_results_not_shared_total',
    help: 'Results and maps that the store which replicas share did not take',
    registers: this.#registers,
  });
  readonly #workerRestarts = new Counter({
    name: 'mkd_worker_restarts_total',
    help: 'Replaced inference workers, by cause: crash, hang, asked',
    labelNames: ['cause'] as const,
    registers: this.#registers,
  });
  readonly #decodeSeconds = this.#histogram('mkd_decode_seconds', 'Time to decode and scale an image');
  readonly #queueSeconds = this.#histogram(
    'mkd_queue_seconds',
    'Time an image waits for its batch to start; for an image in tiles, the longest wait of a tile',
  );
  readonly #batchImages = this.#histogram(
    'mkd_batch_images',
    'Images in a batch',
    [],
    [1, 2, 4, 8, 16, 32, 64],
  );
  readonly #inferenceSeconds = this.#histogram('mkd_inference_seconds', 'Time of a batch in ONNX Runtime', [
    'map',
  ]);
  readonly #renderSeconds = this.#histogram('mkd_render_seconds', 'Time to render a picture of a map', [
    'artifact',
  ]);
  readonly #scores = this.#histogram(
    'mkd_anomaly_score_threshold_ratio',
    'Anomaly scores divided by the threshold of their detector, if that is above 0',
    ['detector'],
    [0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10],
  );
  readonly #verdicts = new Counter({
    name: 'mkd_verdicts_total',
    help: 'Verdicts returned',
    labelNames: ['detector', 'verdict'] as const,
    registers: this.#registers,
  });
  readonly #layerDirections = this.#histogram(
    'mkd_layer_direction_discrepancy',
    'Direction discrepancy of each scoring layer',
    ['detector', 'layer'],
    [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1],
  );

  readonly #labeled: LabeledDetectors;

  /** @param detectors how many have series of their own; the others are counted together, see {@link LabeledDetectors}. */
  constructor(sources: MetricSources, detectors: number = defaultMetricsDetectors) {
    this.#labeled = new LabeledDetectors(detectors, (name) => void this.#removeSeries(name));
    collectDefaultMetrics({ register: this.registry });
    // Gauges named like counters confuse tools that read them.
    for (const kind of ['handles', 'requests', 'resources']) {
      this.registry.removeSingleMetric(`nodejs_active_${kind}_total`);
    }
    // Of a series that begins with its first replacement, a rate misses it.
    for (const cause of replacementCauses) this.#workerRestarts.inc({ cause }, 0);
    this.#gauge('mkd_ready', '1 if requests are accepted', () => (sources.ready() ? 1 : 0));
    this.#gauge('mkd_queue_images', 'Images waiting for the device', sources.queuedImages);
    this.#gauge(
      'mkd_images_in_flight',
      'Images accepted and not yet finished',
      () => sources.inFlight().images,
    );
    this.#gauge(
      'mkd_upload_bytes_in_flight',
      'Bytes of requests that are being received or processed',
      () => sources.inFlight().bytes,
    );
    this.#gauge(
      'mkd_pixels_in_flight',
      'Pixels of images that are being decoded or scored',
      () => sources.inFlight().pixels,
    );
    this.#gauge('mkd_detectors', 'Detectors in service', () => sources.repository().size);
    this.#gauge('mkd_detectors_loaded', 'Versions of detectors in memory', () => sources.repository().loaded);
    this.#gauge(
      'mkd_detectors_unverified',
      'Detectors in service that have not run their self-test yet; they run it when the service is idle or on first use',
      () => sources.repository().unverified,
    );
    this.#gauge(
      'mkd_detectors_refused',
      'Detectors that are refused, or have a refused version',
      () => sources.repository().refused,
    );
    new Gauge({
      name: 'mkd_provider_info',
      help: '1 for the execution provider in use',
      labelNames: ['provider'] as const,
      registers: this.#registers,
      collect() {
        this.reset();
        const provider = sources.provider();
        if (provider !== undefined) this.set({ provider }, 1);
      },
    });
    const labeled = this.#labeled;
    new Gauge({
      name: 'mkd_layer_drift',
      help: `Shift of the lower quartile of a layer's direction discrepancy over the last ${driftWindow.images} images, in interquartile ranges of the good images held back`,
      labelNames: ['detector', 'layer'] as const,
      registers: this.#registers,
      collect() {
        this.reset();
        const all = sources.drift((detector) => labeled.has(detector));
        for (const { detector, layer, drift } of all) this.set({ detector, layer }, drift);
      },
    });
  }

  began(stage: StageBegan): void {
    if (stage.stage === 'batch') this.#batchImages.observe(stage.images);
  }

  ended(stage: StageEnded): void {
    switch (stage.stage) {
      case 'decode':
        this.#decodeSeconds.observe(stage.seconds);
        break;
      case 'inference':
        this.#queueSeconds.observe(stage.queueSeconds);
        break;
      case 'batch':
        this.#inferenceSeconds.observe({ map: stage.map }, stage.seconds);
        break;
      case 'render':
        this.#renderSeconds.observe({ artifact: stage.artifact }, stage.seconds);
        break;
      case 'image':
        this.#image(stage.image, stage.outcome);
        break;
    }
  }

  /** Counts a request that was answered. */
  request(route: string, method: string, status: number, seconds: number): void {
    this.#requests.inc({ route, method, status });
    this.#requestSeconds.observe({ route }, seconds);
  }

  /** Counts an error that was returned to a client. */
  problem(kind: string): void {
    this.#errors.inc({ kind });
  }

  /** Begins the series of each kind of problem with 0: of a series that begins with its first error, a rate misses it. */
  expectProblems(kinds: readonly string[]): void {
    for (const kind of kinds) this.#errors.inc({ kind }, 0);
  }

  /** A result or a map was not stored where replicas share them. */
  resultNotShared(): void {
    this.#unshared.inc();
  }

  workerReplaced(cause: string): void {
    this.#workerRestarts.inc({ cause });
  }

  /** Removes the series of a detector that no longer exists. */
  async forget(detector: string): Promise<void> {
    this.#labeled.forget(detector);
    await this.#removeSeries(detector);
  }

  async #removeSeries(detector: string): Promise<void> {
    for (const { name, values } of await this.registry.getMetricsAsJSON()) {
      for (const { labels } of values) {
        if (labels.detector !== detector) continue;
        // `le` belongs to a bucket, not to the series.
        const { le: _, ...series } = labels;
        this.registry.getSingleMetric(name)?.remove(series);
      }
    }
  }

  #image({ name, detector: { manifest } }: NamedDetector, outcome: ImageOutcome): void {
    if ('error' in outcome) return;
    const detector = this.#labeled.use(name);
    const { score, verdict, layers } = outcome.scored;
    const { threshold } = manifest.calibration;
    // Below 0 the order would turn round, and at 0 there is no ratio.
    if (threshold > 0) this.#scores.observe({ detector }, score / threshold);
    this.#verdicts.inc({ detector, verdict });
    for (const { layer, direction } of layers) this.#layerDirections.observe({ detector, layer }, direction);
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: this.#registers,
      collect() {
        this.set(value());
      },
    });
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[] = [],
    buckets = durations,
  ): Histogram<Label> {
    return new Histogram({ name, help, labelNames, buckets, registers: this.#registers });
  }
}
