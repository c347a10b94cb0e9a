/** The device of a service and the detectors it runs. */
import type { LoadedDetector } from '../detector/index.js';
import { type JobLimits, Jobs } from '../jobs/index.js';
import type { RepositoryFigures } from '../observability/index.js';
import {
  DetectorRepository,
  type DetectorSource,
  defaultWatchEveryMs,
  openDetectorSource,
  type RepositoryLog,
  type RepositoryOptions,
  verifyUnused,
  watchRepository,
} from '../repository/index.js';
import type { Provider, SupervisionOptions } from '../runtime/index.js';
import { type EngineOptions, ScoringEngine } from '../scoring/index.js';

export interface CatalogOptions extends RepositoryOptions {
  readonly device: EngineOptions;
  /** How often the folder of detectors is checked for changes; 0 is never. */
  readonly watchEveryMs?: number;
  readonly jobs?: Partial<JobLimits>;
  /** Aborts {@link Catalog.open}. */
  readonly signal?: AbortSignal;
}

/** Enough for a line with one detector; each session holds an expert in memory. */
export const defaultDedicatedSessions = 1;

/** Images in one batch: larger batches take too long for clients, and on the CPU they are slower. */
export const defaultMaxBatchSize = { cpu: 4, cuda: 8 } as const;

export class Catalog {
  #stopVerifying = (): void => {};

  private constructor(
    readonly engine: ScoringEngine,
    readonly repository: DetectorRepository,
    readonly jobs: Jobs,
    private readonly source: DetectorSource,
    private readonly stopWatching: () => void,
    private readonly log: RepositoryLog,
  ) {}

  /**
   * Opens the device, then the detectors. A detector that fails its self-test is refused by name.
   * @throws DetectorError if there is no detector to serve; RuntimeError if the provider is unavailable.
   */
  static async open(
    options: CatalogOptions,
    log: RepositoryLog,
    onReplace: NonNullable<SupervisionOptions['onReplace']> = () => {},
  ): Promise<Catalog> {
    const engine = await ScoringEngine.open(
      {
        dedicatedSessions: defaultDedicatedSessions,
        maxBatchSize: defaultMaxBatchSize,
        ...options.device,
      },
      {
        onReplace: (cause) => {
          log.error({ cause }, 'inference worker replaced');
          onReplace(cause);
        },
      },
    );
    log.info({ provider: engine.provider }, engine.note ?? `inference runs on ${engine.provider}`);
    const { watchEveryMs = defaultWatchEveryMs, experts, jobs: limits, signal } = options;
    let source: DetectorSource | undefined;
    try {
      source = await openDetectorSource(options.detectors, watchEveryMs, log);
      const { folder: detectors, bucket } = source;
      const repository = await DetectorRepository.open(
        engine,
        { ...options, detectors, bucket },
        log,
        signal,
      );
      const stop = watchEveryMs > 0 ? watchRepository(repository, watchEveryMs, log) : () => {};
      const making = { detectors, experts, provider: engine.provider, ...(limits ? { limits } : {}) };
      const jobs = await Jobs.open(repository, making, log);
      return new Catalog(engine, repository, jobs, source, stop, log);
    } catch (error) {
      await source?.close();
      await engine.close();
      throw error;
    }
  }

  get provider(): Provider {
    return this.engine.provider;
  }

  get figures(): RepositoryFigures {
    const { size, loaded, refused } = this.repository;
    return { size, loaded, refused, unverified: this.repository.unverified().length };
  }

  /** @throws RepositoryError if there is no such detector or version. */
  acquire(name: string, version?: string): Promise<LoadedDetector> {
    return this.repository.acquire(name, version);
  }

  /** Verifies unused detectors while nothing is scored. */
  verifyUnused(isIdle: () => boolean): void {
    this.#stopVerifying = verifyUnused(this.repository, isIdle, this.log);
  }

  async close(): Promise<void> {
    this.stopWatching();
    this.#stopVerifying();
    await this.jobs.stop();
    await this.source.close();
    await this.engine.close();
  }
}
