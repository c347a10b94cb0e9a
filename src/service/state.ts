/** What the routes of one app share. */
import type { LaneLimits } from '../batching/index.js';
import { defaultImageLimits, type ImageLimits } from '../imaging/index.js';
import { Admission, type AdmissionLimits, defaultAdmissionLimits } from './admission.js';
import type { Catalog } from './catalog.js';
import { defaultLaneLimits, defaultTimeoutMs, Inference } from './inference.js';
import { createMetrics, type Metrics } from './metrics.js';
import { ProblemError } from './problems.js';
import { ResultStore, type ResultStoreLimits } from './result-store.js';
import { Scoring } from './scoring.js';
import { Statistics } from './statistics.js';
import { defaultUploadLimits, type UploadLimits } from './uploads.js';

export interface ServiceLimits {
  readonly image?: ImageLimits;
  readonly uploads?: UploadLimits;
  readonly results?: ResultStoreLimits;
  /** What is taken in at once. */
  readonly admission?: Partial<AdmissionLimits>;
  /** How images are gathered into batches. */
  readonly batching?: Partial<LaneLimits>;
  /** How long an image may take where the client says nothing. */
  readonly timeoutMs?: number;
}

/** What routes share. The catalog comes later than the app: it answers while detectors are verified. */
export interface ServiceState {
  readonly metrics: Metrics;
  readonly statistics: Statistics;
  readonly admission: Admission;
  readonly store: ResultStore;
  readonly uploads: UploadLimits;
  readonly image: ImageLimits;
  readonly timeoutMs: number;
  /** From `start` on it is `ready`; the server sets the other changes. */
  status: 'starting' | 'ready' | 'stopping' | 'failed';
  catalog: Catalog | undefined;
  /** The status as probes are told it: a service whose workers are gone is not ready. */
  health(): ServiceState['status'];
  /** @throws ProblemError `not-ready` until the catalog is there. */
  scoring(): Scoring;
  /** @throws ProblemError `not-ready` until the catalog is there. */
  readyCatalog(): Catalog;
  /** Takes requests from now on. */
  start(catalog: Catalog): void;
  /** Ready no more; what was taken is still answered. */
  beginStop(): void;
  /** Drops what waits, if anything does, and frees the device. */
  close(): Promise<void>;
}

export function createState(options: ServiceLimits): ServiceState {
  const image = options.image ?? defaultImageLimits;
  const metrics = createMetrics();
  const statistics = new Statistics();
  const store = new ResultStore(options.results);
  const notReady = (): ProblemError =>
    new ProblemError('not-ready', 'detectors are being verified; /health/ready says when that is done', 1);
  let scoring: Scoring | undefined;
  let inference: Inference | undefined;
  const limits = { ...defaultAdmissionLimits, ...options.admission };
  const admission = new Admission(limits, metrics, (images) => inference?.estimateSeconds(images) ?? 1);
  return {
    metrics,
    statistics,
    admission,
    store,
    image,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
    uploads: options.uploads ?? defaultUploadLimits,
    status: 'starting',
    catalog: undefined,
    health() {
      return this.status === 'ready' && !this.catalog?.engine.alive ? 'failed' : this.status;
    },
    scoring() {
      if (!scoring) throw notReady();
      return scoring;
    },
    readyCatalog() {
      if (!this.catalog) throw notReady();
      return this.catalog;
    },
    start(catalog) {
      const lanes = new Inference(catalog.engine, metrics, statistics, {
        ...defaultLaneLimits,
        ...options.batching,
      });
      metrics.observeQueue(() => lanes.waiting);
      inference = lanes;
      scoring = new Scoring(lanes, admission, store, metrics, statistics, image);
      this.catalog = catalog;
      this.status = 'ready';
      metrics.provider.set({ provider: catalog.provider }, 1);
      metrics.observeDetectors(() => catalog.repository);
      catalog.repository.observeRetired((name) => {
        statistics.forget(name);
        void metrics.forget(name);
      });
      metrics.ready.set(1);
      catalog.verifyUnused(() => admission.idle);
    },
    beginStop() {
      this.status = 'stopping';
      metrics.ready.set(0);
    },
    async close() {
      inference?.close();
      await this.catalog?.close();
    },
  };
}
