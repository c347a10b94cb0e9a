/**
 * The only way from an image to its result: decode, cut into tiles, run the graph, score, localize, render. The
 * library, the command line, evaluation, calibration, self-tests and HTTP all use it. It does not depend on HTTP,
 * metrics or storage: memory, inference and observers are passed in.
 */
import type { LoadedDetector, LocalizationMethod, Scorer } from '../detector/index.js';
import {
  type Artifact,
  type DetectorImage,
  defaultImageLimits,
  directImager,
  type ImageLimits,
  type Imager,
  type LocalizationMap,
  type MappedImage,
  mapOfImage,
  type PictureSize,
  type ScaledImage,
  tileCount,
  tilePixels,
} from '../imaging/index.js';
import { type Deadline, noDeadline } from './deadline.js';
import type { MapKind } from './engine.js';
import { type ImageJob, observed, type ScoreOptions } from './image-job.js';
import type { BatchListener, Inference, InferenceTimings } from './inference.js';
import { Localization, mapThreshold } from './localization.js';
import { type MemoryLimit, unlimited } from './memory-limit.js';
import { type ObservedImage, observers, type ScoringObserver, stopwatch } from './observer.js';
import { imageScore, type ScoredImage } from './scored-image.js';
import { type CollectedImage, TileCollector } from './tile-collector.js';

export interface PipelineOptions {
  readonly limits?: ImageLimits;
  /** By default memory is not limited. */
  readonly memory?: MemoryLimit;
  readonly observer?: ScoringObserver;
  /** Where images are decoded and drawn; by default in this thread. */
  readonly imager?: Imager;
}

/** How images are run: which map to compute, and what may share their batches. */
export interface InferenceRequest {
  readonly map: MapKind;
  /** What may share a batch with them. */
  readonly lane?: string;
  readonly deadline?: Deadline;
  readonly onBatch?: BatchListener;
}

const noListener: BatchListener = { began: () => {}, ended: () => {} };

export class ScoringPipeline {
  readonly #limits: ImageLimits;
  readonly #memory: MemoryLimit;
  readonly #observer: Required<ScoringObserver>;
  readonly #imager: Imager;

  constructor(
    private readonly inference: Inference,
    {
      limits = defaultImageLimits,
      memory = unlimited,
      observer = {},
      imager = directImager,
    }: PipelineOptions = {},
  ) {
    this.#limits = limits;
    this.#memory = memory;
    this.#observer = observers(observer);
    this.#imager = imager;
  }

  /**
   * Scores an image.
   * @throws ImageError, ScoringError; UnknownMapError if the detector has no such map.
   */
  async score(job: ImageJob, options: ScoreOptions = {}): Promise<ScoredImage> {
    const { map } = options;
    // Checked before anything is computed.
    if (map) mapThreshold(job.detector, map);
    const image = observed(job, 'score');
    const seconds = stopwatch();
    this.#observer.began({ stage: 'image', image });
    try {
      const scored = await this.#decoded(job, image, (decoded, decodeSeconds) =>
        this.#score(job, image, decoded, decodeSeconds, options),
      );
      this.#observer.ended({ stage: 'image', image, seconds: seconds(), outcome: { scored } });
      return scored;
    } catch (error) {
      this.#observer.ended({ stage: 'image', image, seconds: seconds(), outcome: { error } });
      throw error;
    }
  }

  /** Computes a map of an image without scoring it. @throws as {@link score} does. */
  async localize(job: ImageJob, map: LocalizationMethod): Promise<Localization> {
    mapThreshold(job.detector, map);
    const image = observed(job, 'map');
    return this.#decoded(job, image, async (decoded) => {
      const inferred = await this.#infer(job, image, decoded, map);
      return this.localization(job, decoded, map, inferred.map as LocalizationMap);
    });
  }

  /** Returns a thumbnail of an image as the detector sees it. @throws ImageError, ScoringError */
  thumbnail({ detector, image, deadline }: ImageJob): Promise<Uint8Array> {
    return this.#reserved(deadline, (admit) =>
      this.#imager.thumbnail(image, detector.input, { ...this.#limits, admit }),
    );
  }

  /** Returns an image as people see it, as PNG. @throws ImageError, ScoringError */
  photo({ detector, image, deadline }: ImageJob, { width, height }: PictureSize): Promise<Buffer> {
    return this.#reserved(deadline, async (admit) => {
      await admit(width * height);
      return this.#imager.photo(image, detector.input.range, this.#limits);
    });
  }

  /** Returns the localization of an existing map. */
  localization(
    { detector, image }: ImageJob,
    { width, height }: PictureSize,
    method: LocalizationMethod,
    map: LocalizationMap,
  ): Localization {
    const threshold = mapThreshold(detector, method);
    const mapped: MappedImage = {
      map,
      threshold,
      size: { width, height },
      image,
      limits: this.#limits,
      range: detector.input.range,
    };
    return new Localization(method, mapped, this.#imager);
  }

  /** Renders a picture of a map, or encodes the map itself. */
  async render(job: ImageJob, localization: Localization, artifact: Artifact): Promise<Buffer> {
    const image = observed(job, 'map');
    const { width, height } = localization.mapped.size;
    return this.#reserved(job.deadline, async (admit) => {
      await admit(width * height);
      const seconds = stopwatch();
      this.#observer.began({ stage: 'render', image, artifact });
      const rendered = await localization.artifact(artifact);
      this.#observer.ended({ stage: 'render', image, artifact, seconds: seconds() });
      return rendered;
    });
  }

  /** Reserves memory for some work, which says how many pixels it will hold. */
  async #reserved<Result>(
    deadline: Deadline = noDeadline,
    work: (admit: (pixels: number) => Promise<void>) => Promise<Result>,
  ): Promise<Result> {
    const memory = this.#memory.reserve(deadline);
    try {
      return await work((pixels) => memory.take(pixels));
    } finally {
      memory.release();
    }
  }

  /**
   * Runs decoded images, with their tiles in shared batches.
   * @returns the scores of each image, and its map if one was requested.
   */
  async infer(
    scorer: Scorer,
    images: readonly ScaledImage[],
    { map, lane = '', deadline = noDeadline, onBatch = noListener }: InferenceRequest,
  ): Promise<{ readonly images: CollectedImage[]; readonly timings: InferenceTimings }> {
    const tiles = images.flatMap((image, index) =>
      Array.from({ length: tileCount(image.grid) }, (_, tile) => ({ image, index, tile })),
    );
    const collectors = images.map(({ grid }) => new TileCollector(grid, map !== 'none'));
    const timings = await this.inference.run(
      {
        scorer,
        map,
        lane: `${lane}/${map}`,
        tiles: tiles.length,
        pixels: (at) => {
          const { image, tile } = tiles[at] as (typeof tiles)[number];
          return tilePixels(image, tile);
        },
        deadline,
        onBatch,
      },
      (at, outputs, row) => {
        const { index, tile } = tiles[at] as (typeof tiles)[number];
        collectors[index]?.add(tile, outputs, row);
      },
    );
    return { images: collectors.map((collector) => collector.image()), timings };
  }

  async #score(
    job: ImageJob,
    image: ObservedImage,
    decoded: DetectorImage,
    decodeSeconds: number,
    { threshold, map, mapIfAnomalous = false }: ScoreOptions,
  ): Promise<ScoredImage> {
    const { width, height, grid } = decoded;
    const together = map !== undefined && !mapIfAnomalous;
    const first = await this.#infer(job, image, decoded, together ? map : 'none');
    const score = imageScore(job.detector, first, decoded, threshold);
    const wanted = map !== undefined && (!mapIfAnomalous || score.verdict === 'anomalous');
    const mapped = wanted && !together ? await this.#infer(job, image, decoded, map) : first;
    return {
      ...score,
      size: { width, height },
      grid,
      ...(decoded.warnings.length > 0 ? { warnings: decoded.warnings } : {}),
      ...(wanted && mapped.map ? { localization: this.localization(job, decoded, map, mapped.map) } : {}),
      timings: {
        decode: decodeSeconds,
        queue: first.timings.queueSeconds,
        inference: first.timings.runtimeSeconds,
      },
    };
  }

  /** Decodes an image and passes it to `work`. Its pixels count as used until that has ended. */
  async #decoded<Result>(
    { detector, image: input, deadline = noDeadline }: ImageJob,
    image: ObservedImage,
    work: (decoded: DetectorImage, seconds: number) => Promise<Result>,
  ): Promise<Result> {
    const memory = this.#memory.reserve(deadline);
    let decoded: DetectorImage | undefined;
    try {
      this.#observer.began({ stage: 'decode', image });
      const seconds = stopwatch();
      let waited = 0;
      decoded = await this.#imager.decode(input, detector.input, {
        ...this.#limits,
        admit: async (pixels) => {
          const waiting = stopwatch();
          await memory.take(pixels);
          waited = waiting();
        },
      });
      memory.shrink(decoded.grid.width * decoded.grid.height);
      const decodeSeconds = seconds() - waited;
      this.#observer.ended({ stage: 'decode', image, seconds: decodeSeconds });
      return await work(decoded, decodeSeconds);
    } finally {
      decoded?.release?.();
      memory.release();
    }
  }

  async #infer(
    { detector, name = '', deadline = noDeadline }: ImageJob,
    image: ObservedImage,
    decoded: DetectorImage,
    map: MapKind,
  ): Promise<CollectedImage & { readonly timings: InferenceTimings }> {
    const tiles = tileCount(decoded.grid);
    const seconds = stopwatch();
    this.#observer.began({ stage: 'inference', image, map, tiles });
    const { images, timings } = await this.infer(detector, [decoded], {
      map,
      lane: `${name}/${detector.version}`,
      deadline,
      onBatch: this.#batchListener(detector, name, map),
    });
    this.#observer.ended({ stage: 'inference', image, map, tiles, seconds: seconds(), ...timings });
    const { map: scaled, ...scores } = images[0] as CollectedImage;
    if (!scaled) return { ...scores, timings };
    return { ...scores, map: mapOfImage(scaled, decoded.grid, detector.input.region), timings };
  }

  #batchListener(detector: LoadedDetector, name: string, map: MapKind): BatchListener {
    return {
      began: (images) => this.#observer.began({ stage: 'batch', detector, name, map, images }),
      ended: (images, seconds) =>
        this.#observer.ended({ stage: 'batch', detector, name, map, images, seconds }),
    };
  }
}
