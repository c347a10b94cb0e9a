/**
 * Scores batches with any number of detectors on one device. Detectors of the same shape share a session, which holds
 * the expert once; their weights are sent with each run.
 */
import { BatchSizes } from '../batching/index.js';
import {
  hasDiscrepancyMap,
  type LoadedDetector,
  type LocalizationMethod,
  type Scorer,
  type ServingShape,
  servingModel,
} from '../detector/index.js';
import { areaOf, sidesOf } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import {
  bool,
  DevicePool,
  type Feeds,
  type PoolOptions,
  type Provider,
  type Runner,
  type RunResult,
  type SupervisionOptions,
} from '../runtime/index.js';
import { DedicatedSessions } from './dedicated-sessions.js';
import { firstRows, type RawScores, rawScores } from './raw-scores.js';
import { SessionCache } from './session-cache.js';
import { smoothGradMaps } from './smooth-grad.js';

/** How a map is made; `none` for scores without the cost of a gradient. */
export type MapKind = LocalizationMethod | 'none';

export interface EngineResult {
  readonly outputs: RawScores;
  /** Time in the runtime. */
  readonly seconds: number;
}

export interface EngineOptions extends PoolOptions {
  /** Detectors that may have a session of their own; default none. See {@link DedicatedSessions}. */
  readonly dedicatedSessions?: number;
  /** Images in one batch at most; default 16. More gain little and need memory. */
  readonly maxBatchSize?: number | BatchSizeByProvider;
}

export type BatchSizeByProvider = Readonly<Record<Provider, number>>;

/** On the CPU, activations of more images do not fit its caches: an image of a batch of eight takes a tenth longer. */
const defaultMaxBatchSize: BatchSizeByProvider = { cpu: 4, cuda: 16 };

/** Sessions that detectors share: a few shapes, each with and without a map. */
const mostSharedSessions = 16;

export class ScoringEngine {
  readonly #shared = new SessionCache(mostSharedSessions);
  readonly #warm = new Set<string>();
  readonly #dedicated: DedicatedSessions;

  private constructor(
    private readonly device: Runner,
    /** How many images a run may have. */
    readonly batchSizes: BatchSizes,
    dedicatedSessions: number,
  ) {
    this.#dedicated = new DedicatedSessions(dedicatedSessions, ({ shape, feeds }) =>
      device.session(servingModel({ ...shape, map: graphMap(shape, 'none'), bound: feeds })),
    );
  }

  /**
   * Opens an engine on workers of its own; a worker that fails is replaced.
   * @throws RuntimeError if the provider is unavailable.
   */
  static async open(
    options: EngineOptions = {},
    supervision: SupervisionOptions = {},
  ): Promise<ScoringEngine> {
    const { dedicatedSessions = 0, maxBatchSize = defaultMaxBatchSize } = options;
    const device = await DevicePool.open(options, supervision);
    const most = typeof maxBatchSize === 'number' ? maxBatchSize : maxBatchSize[device.provider];
    return new ScoringEngine(device, BatchSizes.on(device.provider, most), dedicatedSessions);
  }

  /** Returns an engine on a device that others share and close. */
  static on(
    device: Runner,
    {
      batchSizes = BatchSizes.on(device.provider, defaultMaxBatchSize[device.provider]),
      dedicatedSessions = 0,
    }: { readonly batchSizes?: BatchSizes; readonly dedicatedSessions?: number } = {},
  ): ScoringEngine {
    return new ScoringEngine(device, batchSizes, dedicatedSessions);
  }

  /** The provider in use. */
  get provider(): Provider {
    return this.device.provider;
  }

  /** Why the CPU is used, if CUDA was tried. */
  get note(): string | undefined {
    return this.device.note;
  }

  /** Whether a worker is running. */
  get alive(): boolean {
    return this.device.alive;
  }

  /** Number of runs at the same time. */
  get concurrency(): number {
    return this.device.size;
  }

  /**
   * Scores one batch.
   * @param images uint8 [N, inputSize, inputSize, 3], N from 1 to `batchSizes.maxBatch`; or the N images, each by itself.
   * @param signal stops a SmoothGrad, which takes seconds.
   * @throws the signal's reason.
   */
  async run(
    scorer: Scorer,
    images: Uint8Array | readonly Uint8Array[],
    map: MapKind,
    signal?: AbortSignal,
  ): Promise<EngineResult> {
    const parts = images instanceof Uint8Array ? [images] : images;
    if (map !== 'smoothgrad') return this.#run(scorer, parts, map);
    const { outputs, seconds } = await this.#run(scorer, parts, 'none');
    const maps = await smoothGradMaps(
      Buffer.concat(parts),
      sidesOf(scorer.shape.inputSize),
      (feeds) => this.#runShared(scorer, feeds, map),
      signal,
    );
    return { outputs: { ...outputs, map: maps.map }, seconds: seconds + maps.seconds };
  }

  /** Opens the sessions a detector needs, unless another of its shape has done so, so that no request waits for them. */
  async warmUp(detector: LoadedDetector): Promise<void> {
    await this.#dedicated.claimIfIdle(detector);
    const { inputSize } = detector.shape;
    const session = this.#dedicated.has(detector) ? detector.version : 'shared';
    const key = JSON.stringify([detector.shape, detector.manifest.localization, session]);
    if (this.#warm.has(key)) return;
    for (const count of this.batchSizes.warmUp) {
      const images = new Uint8Array(count * areaOf(inputSize) * 3);
      await this.run(detector, images, 'none');
      await this.run(detector, images, detector.manifest.localization);
    }
    this.#warm.add(key);
  }

  /** Frees what is held for this detector only. */
  async release(detector: Scorer): Promise<void> {
    await this.#dedicated.release(detector);
  }

  /** Replaces one worker, each in turn; its runs are repeated on the new one. */
  async replaceWorker(): Promise<void> {
    await this.device.replace?.();
  }

  /** Closes the device. */
  async close(): Promise<void> {
    await this.device.close();
  }

  /** Closes all sessions; they are opened again when needed. */
  async closeSessions(): Promise<void> {
    this.#warm.clear();
    await this.#dedicated.close();
    await this.#shared.clear();
  }

  async #run(
    scorer: Scorer,
    parts: readonly Uint8Array[],
    map: Exclude<MapKind, 'smoothgrad'>,
  ): Promise<EngineResult> {
    const { inputSize } = scorer.shape;
    const { width, height } = sidesOf(inputSize);
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    const count = bytes / (width * height * 3);
    const { maxBatch } = this.batchSizes;
    if (!(count >= 1 && count <= maxBatch))
      throw new RangeError(`${count} images in a batch; must be 1 to ${maxBatch}`);
    const size = this.batchSizes.tensorSize(count);
    // Images beyond the count are blank.
    const image = { dims: [size, height, width, 3], parts };
    const feeds = {
      [tensorNames.inputs.image]: image,
      ...(graphMap(scorer.shape, map) === 'discrepancy'
        ? { [tensorNames.inputs.mapWanted]: bool(map === 'discrepancy') }
        : {}),
    };
    const { outputs, seconds } =
      (await this.#runDedicated(scorer, feeds, count, map)) ?? (await this.#runShared(scorer, feeds, map));
    const scores = rawScores(outputs, map !== 'none');
    return { outputs: size === count ? scores : firstRows(scores, size, count), seconds };
  }

  async #runDedicated(
    scorer: Scorer,
    feeds: Feeds,
    images: number,
    map: MapKind,
  ): Promise<RunResult | undefined> {
    const { shape } = scorer;
    // A dedicated session has one kind of map.
    if (graphMap(shape, map) !== graphMap(shape, 'none')) return undefined;
    return this.#dedicated.run(scorer, images, feeds);
  }

  #runShared({ shape, feeds }: Scorer, inputs: Feeds, wanted: MapKind): Promise<RunResult> {
    const map = graphMap(shape, wanted);
    return this.#shared.run(
      JSON.stringify([shape, map]),
      () => this.device.session(servingModel({ ...shape, map })),
      (session) => session.run(inputs, feeds),
    );
  }
}

/** One session, and one expert in memory, serves scores with and without a discrepancy map. */
function graphMap({ cloner }: ServingShape, wanted: MapKind): MapKind {
  return wanted === 'none' && hasDiscrepancyMap(cloner) ? 'discrepancy' : wanted;
}
