/** What the routes of one app share. */
import { defaultImageLimits, type ImageLimits } from '../imaging/index.js';
import type { Catalog } from './catalog.js';
import { createMetrics, type Metrics } from './metrics.js';
import { ProblemError } from './problems.js';
import { ResultStore, type ResultStoreLimits } from './result-store.js';
import { Scoring } from './scoring.js';
import { defaultUploadLimits, type UploadLimits } from './uploads.js';

export interface ServiceLimits {
  readonly image?: ImageLimits;
  readonly uploads?: UploadLimits;
  readonly results?: ResultStoreLimits;
  /** Images taken and not yet answered; default 64. */
  readonly maxImagesInFlight?: number;
}

/** What routes share. The catalog comes later than the app: it answers while detectors are verified. */
export interface ServiceState {
  readonly metrics: Metrics;
  readonly store: ResultStore;
  readonly uploads: UploadLimits;
  readonly image: ImageLimits;
  /** From `start` on it is `ready`; the server sets the other changes. */
  status: 'starting' | 'ready' | 'stopping' | 'failed';
  catalog: Catalog | undefined;
  /** @throws ProblemError `not-ready` until the catalog is there. */
  scoring(): Scoring;
  /** @throws ProblemError `not-ready` until the catalog is there. */
  readyCatalog(): Catalog;
  /** Takes requests from now on. */
  start(catalog: Catalog): void;
}

export function createState(options: ServiceLimits): ServiceState {
  const image = options.image ?? defaultImageLimits;
  const metrics = createMetrics();
  const store = new ResultStore(options.results);
  const notReady = (): ProblemError =>
    new ProblemError('not-ready', 'detectors are being verified; /health/ready says when that is done', 1);
  let scoring: Scoring | undefined;
  return {
    metrics,
    store,
    image,
    uploads: options.uploads ?? defaultUploadLimits,
    status: 'starting',
    catalog: undefined,
    scoring() {
      if (!scoring) throw notReady();
      return scoring;
    },
    readyCatalog() {
      if (!this.catalog) throw notReady();
      return this.catalog;
    },
    start(catalog) {
      const limits = { maxImagesInFlight: options.maxImagesInFlight ?? 64, image };
      scoring = new Scoring(catalog, store, metrics, limits);
      this.catalog = catalog;
      this.status = 'ready';
      metrics.provider.set({ provider: catalog.provider }, 1);
      metrics.detectors.set(catalog.detectors.size);
      metrics.ready.set(1);
    },
  };
}
