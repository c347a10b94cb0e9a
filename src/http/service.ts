/** State that the routes of an app share: limits, results, observers and, once detectors are verified, scoring. */
import type { LoadedDetector } from '../detector/index.js';
import { defaultImageLimits, type ImageLimits, ImagingThreads } from '../imaging/index.js';
import { DriftMonitor, type LastDay, LastDayMonitor, Metrics, Statistics } from '../observability/index.js';
import {
  defaultQueueLimits,
  InferenceQueue,
  observers,
  type QueueLimits,
  type ScoringObserver,
  ScoringPipeline,
} from '../scoring/index.js';
import type { Catalog } from './catalog.js';
import { GoodPhotos } from './good-photos.js';
import { KeptResults } from './kept-results.js';
import { Admission, type AdmissionLimits, defaultAdmissionLimits } from './plugins/limits.js';
import { ProblemError, problemKinds } from './plugins/problems.js';
import { defaultUploadLimits, type UploadLimits } from './plugins/uploads.js';
import { ResultStore, type ResultStoreLimits, type StoredResult } from './result-store.js';
import { type ScoringRequest, ScoringService } from './scoring-service.js';
import type { SharedResults } from './shared-results.js';

/** Timeout of an image, unless the client sets one. */
export const defaultTimeoutMs = 30_000;

export interface ServiceOptions {
  readonly image?: ImageLimits;
  readonly uploads?: UploadLimits;
  readonly results?: ResultStoreLimits;
  /** Where replicas share their results; by default each has its own. */
  readonly sharedResults?: SharedResults | undefined;
  /** Limits on accepted work. */
  readonly admission?: Partial<AdmissionLimits>;
  /** How long, and how many, images wait for a batch. */
  readonly queue?: Partial<QueueLimits>;
  /** Timeout of an image, unless the client sets one. */
  readonly timeoutMs?: number;
  /** Detectors with series of their own in the metrics. */
  readonly metricsDetectors?: number | undefined;
  /** More observers of scoring, for example traces. */
  readonly observers?: readonly ScoringObserver[];
}

export type ServiceStatus = 'starting' | 'ready' | 'stopping' | 'failed';

/** The catalog is added after the app has started: the app already answers while detectors are verified. */
export class Service {
  readonly metrics: Metrics;
  readonly statistics = new Statistics();
  readonly admission: Admission;
  readonly results: KeptResults;
  readonly uploads: UploadLimits;
  readonly image: ImageLimits;
  readonly timeoutMs: number;
  readonly #photos = new GoodPhotos();
  readonly #drift = new DriftMonitor();
  readonly #lastDay = new LastDayMonitor();
  readonly #options: ServiceOptions;
  readonly #imager = new ImagingThreads();
  #status: ServiceStatus = 'starting';
  #running:
    | { readonly catalog: Catalog; readonly queue: InferenceQueue; readonly scoring: ScoringService }
    | undefined;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.image = options.image ?? defaultImageLimits;
    this.uploads = options.uploads ?? defaultUploadLimits;
    this.timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.results = new KeptResults(new ResultStore(options.results), options.sharedResults);
    this.admission = new Admission(
      { ...defaultAdmissionLimits, ...options.admission },
      (images) => this.#running?.queue.estimateSeconds(images) ?? 1,
    );
    this.metrics = new Metrics(
      {
        ready: () => this.status === 'ready',
        provider: () => this.#running?.catalog.provider,
        queuedImages: () => this.#running?.queue.waiting ?? 0,
        inFlight: () => this.admission.used,
        repository: () => this.#running?.catalog.figures ?? { size: 0, loaded: 0, refused: 0, unverified: 0 },
        drift: (isWanted) => this.#drift.measure(isWanted),
      },
      options.metricsDetectors,
    );
    this.metrics.expectProblems(problemKinds);
  }

  /** `ready` after {@link start}, while an inference worker is alive. */
  get status(): ServiceStatus {
    return this.#status === 'ready' && !this.#running?.catalog.engine.alive ? 'failed' : this.#status;
  }

  get stopping(): boolean {
    return this.#status === 'stopping';
  }

  /** Undefined until the detectors are verified. */
  get catalog(): Catalog | undefined {
    return this.#running?.catalog;
  }

  /** @throws ProblemError `not-ready` until the detectors are verified. */
  readyCatalog(): Catalog {
    return this.#ready().catalog;
  }

  /** @throws ProblemError `not-ready` until the detectors are verified. */
  scoring(): ScoringService {
    return this.#ready().scoring;
  }

  /** Returns what a detector did in the last day, and the drift of the layer that has moved most; undefined if it has scored too little. */
  activity(name: string): { readonly lastDay: LastDay; readonly drift: number | undefined } {
    const drifts = this.#drift.of(name).map(({ drift }) => drift);
    const [drift] = drifts.sort((a, b) => Math.abs(b) - Math.abs(a));
    return { lastDay: this.#lastDay.of(name), drift };
  }

  /** Returns how many good photos of a version are kept. */
  async photosKept(name: string, detector: LoadedDetector): Promise<number> {
    return this.#photos.count(this.#versionOf(name, detector));
  }

  /** Finds the good photo that is most like the image of a result, see {@link GoodPhotos.nearest}. */
  async nearestPhoto(
    stored: StoredResult,
    request: Pick<ScoringRequest, 'deadline' | 'request'>,
  ): ReturnType<GoodPhotos['nearest']> {
    const { catalog, scoring } = this.#ready();
    const { detectorName, version, size } = stored;
    const detector = await catalog.acquire(detectorName, version);
    const thumbnail = await scoring.thumbnail(stored, detector, request);
    return this.#photos.nearest(this.#versionOf(detectorName, detector), thumbnail, size);
  }

  #versionOf(name: string, detector: LoadedDetector) {
    const { versions } = this.readyCatalog().repository.status(name);
    const { folder = '' } = versions.find(({ version }) => version === detector.version) ?? {};
    return { detector, folder };
  }

  /** Starts to accept requests. */
  start(catalog: Catalog): void {
    const queue = new InferenceQueue(catalog.engine, { ...defaultQueueLimits, ...this.#options.queue });
    const pipeline = new ScoringPipeline(queue, {
      limits: this.image,
      memory: this.admission,
      imager: this.#imager,
      observer: observers(
        this.metrics,
        this.statistics,
        this.#drift,
        this.#lastDay,
        ...(this.#options.observers ?? []),
      ),
    });
    const scoring = new ScoringService(pipeline, this.admission, this.results);
    catalog.repository.observeRetired((name) => {
      this.statistics.forget(name);
      this.#drift.forget(name);
      this.#lastDay.forget(name);
      void this.metrics.forget(name);
    });
    this.#running = { catalog, queue, scoring };
    this.#status = 'ready';
    catalog.verifyUnused(() => this.admission.idle);
  }

  /** Marks the start as failed. */
  fail(): void {
    this.#status = 'failed';
  }

  /** Marks the service as not ready; accepted requests are still answered. Jobs wait for the next start. */
  beginStop(): void {
    this.#status = 'stopping';
    void this.#running?.catalog.jobs.stop();
  }

  /** Drops queued images, ends the threads and closes the device. */
  async close(): Promise<void> {
    this.#running?.queue.close();
    await Promise.all([this.#imager.close(), this.#running?.catalog.close(), this.results.close()]);
  }

  #ready() {
    if (this.#running) return this.#running;
    throw new ProblemError(
      'not-ready',
      'the detectors are being verified; wait until /health/ready returns 200',
      1,
    );
  }
}
