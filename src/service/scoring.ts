/** From the images of a request to results: decode, score, keep. One bad image fails alone. */
import { randomUUID } from 'node:crypto';
import { imageMap, imageScore, type LoadedDetector, type LocalizationMethod } from '../detector/index.js';
import {
  type DecodedImage,
  decodeImage,
  encodeNpy,
  findRegions,
  type ImageLimits,
  type LocalizationMap,
  renderHeatmap,
  renderMask,
  renderOverlay,
  resizeMap,
} from '../imaging/index.js';
import type { Catalog } from './catalog.js';
import type { Metrics } from './metrics.js';
import { ProblemError, problemOf } from './problems.js';
import type { ResultStore, StoredResult } from './result-store.js';
import type { Result } from './schemas.js';
import type { Upload } from './uploads.js';

export type Artifact = 'heatmap' | 'overlay' | 'mask' | 'map';

export interface ScoringLimits {
  /** Images taken and not yet answered; more are turned away. */
  readonly maxImagesInFlight: number;
  readonly image: ImageLimits;
}

export interface ScoreOptions {
  /** Also computes localization maps by this method, which the results keep. */
  readonly map: LocalizationMethod | 'none';
  /** Instead of the detector's own. */
  readonly threshold?: number | undefined;
}

/** The image of an upload that could not be scored. */
export interface FailedUpload {
  readonly name: string | undefined;
  readonly error: unknown;
}

export class Scoring {
  #inFlight = 0;

  constructor(
    private readonly catalog: Catalog,
    private readonly store: ResultStore,
    private readonly metrics: Metrics,
    private readonly limits: ScoringLimits,
  ) {}

  /**
   * Scores the images of one request, in one batch.
   * @returns results and failures in the order of the uploads.
   * @throws ProblemError when there is too much work, or no such detector.
   */
  async score(
    detectorName: string,
    uploads: readonly Upload[],
    options: ScoreOptions,
    signal?: AbortSignal,
  ): Promise<(StoredResult | FailedUpload)[]> {
    const detector = this.catalog.get(detectorName);
    this.#enter(uploads.length);
    try {
      const decoded = await Promise.all(uploads.map((upload) => this.#decode(upload, detector)));
      if (signal?.aborted)
        throw new ProblemError('client-gone', 'the client went away before its images were scored');
      const good = decoded.filter((image): image is Decoded => 'pixels' in image);
      const scored = good.length > 0 ? await this.#infer(detectorName, detector, good, options) : [];
      return decoded.map((image) => ('pixels' in image ? (scored.shift() as StoredResult) : image));
    } finally {
      this.#leave(uploads.length);
    }
  }

  /** The picture or map of a result, computed now if it was only scored before. */
  async artifact(stored: StoredResult, artifact: Artifact, method: LocalizationMethod): Promise<Buffer> {
    const map = await this.#map(stored, method);
    const threshold = stored.detector.manifest.calibration.mapThresholds[method];
    const { width, height } = stored.result;
    const size = { width, height };
    const stop = this.metrics.renderSeconds.startTimer({ artifact });
    try {
      switch (artifact) {
        case 'heatmap':
          return await renderHeatmap(map, threshold, size);
        case 'overlay':
          return await renderOverlay(stored.image, map, threshold, size, this.limits.image);
        case 'mask':
          return await renderMask(map, threshold, size);
        case 'map':
          return encodeNpy(await resizeMap(map, size), [height, width]);
      }
    } finally {
      stop();
    }
  }

  async #map(stored: StoredResult, method: LocalizationMethod): Promise<LocalizationMap> {
    const known = stored.maps.get(method);
    if (known) return known;
    this.#enter(1);
    try {
      const { detector } = stored;
      const { pixels } = await decodeImage(stored.image, detector.shape.inputSize, this.limits.image);
      const { outputs, seconds } = await this.catalog.engine.run(detector, pixels, method);
      this.metrics.inferenceSeconds.observe({ map: method }, seconds);
      const map = imageMap(detector, outputs, 0);
      stored.maps.set(method, map);
      return map;
    } finally {
      this.#leave(1);
    }
  }

  async #decode(upload: Upload, detector: LoadedDetector): Promise<Decoded | FailedUpload> {
    const began = performance.now();
    try {
      const image = await decodeImage(upload.bytes, detector.shape.inputSize, this.limits.image);
      const seconds = (performance.now() - began) / 1000;
      this.metrics.decodeSeconds.observe(seconds);
      return { ...image, upload, seconds };
    } catch (error) {
      this.metrics.errors.inc({ kind: problemOf(error).kind });
      return { name: upload.name, error };
    }
  }

  async #infer(
    detectorName: string,
    detector: LoadedDetector,
    images: readonly Decoded[],
    { map, threshold }: ScoreOptions,
  ): Promise<StoredResult[]> {
    const began = performance.now();
    const pixels = Buffer.concat(images.map((image) => image.pixels));
    const { outputs, seconds } = await this.catalog.engine.run(detector, pixels, map);
    const queueSeconds = Math.max(0, (performance.now() - began) / 1000 - seconds);
    this.metrics.queueSeconds.observe(queueSeconds);
    this.metrics.inferenceSeconds.observe({ map }, seconds);
    const timings = { queueMs: milliseconds(queueSeconds), inferenceMs: milliseconds(seconds) };
    return images.map(({ upload, width, height, seconds: decodeSeconds }, index) => {
      const score = imageScore(detector, outputs, index, threshold);
      const id = randomUUID();
      const result: Result = {
        id,
        ...(upload.name === undefined ? {} : { name: upload.name }),
        width,
        height,
        score: score.score,
        threshold: score.threshold,
        pValue: score.pValue,
        verdict: score.verdict,
        layers: [...score.layers],
        timings: { decodeMs: milliseconds(decodeSeconds), ...timings },
        links: linksOf(id, map === detector.manifest.localization ? 'none' : map),
      };
      const stored: StoredResult = { detectorName, detector, result, image: upload.bytes, maps: new Map() };
      if (map !== 'none') this.#keepMap(stored, map, imageMap(detector, outputs, index));
      this.metrics.scores.observe(
        { detector: detectorName },
        score.score / detector.manifest.calibration.threshold,
      );
      this.metrics.verdicts.inc({ detector: detectorName, verdict: score.verdict });
      this.store.add(stored);
      return stored;
    });
  }

  /** Keeps a map that came with the score, and says where it is anomalous. */
  #keepMap(stored: StoredResult, method: LocalizationMethod, map: LocalizationMap): void {
    const { detector, result } = stored;
    const { width, height } = result;
    stored.maps.set(method, map);
    const threshold = detector.manifest.calibration.mapThresholds[method];
    result.localization = { method, regions: findRegions(map, threshold, { width, height }) };
  }

  #enter(images: number): void {
    if (this.#inFlight > 0 && this.#inFlight + images > this.limits.maxImagesInFlight) {
      throw new ProblemError(
        'overloaded',
        `${this.#inFlight} images are waiting, at most ${this.limits.maxImagesInFlight} are taken; try again later`,
        1,
      );
    }
    this.#inFlight += images;
    this.metrics.imagesInFlight.set(this.#inFlight);
  }

  #leave(images: number): void {
    this.#inFlight -= images;
    this.metrics.imagesInFlight.set(this.#inFlight);
  }
}

interface Decoded extends DecodedImage {
  readonly upload: Upload;
  readonly seconds: number;
}

/** Where the pictures of a result are. @param method what they are asked for with, if not by the default. */
function linksOf(id: string, method: LocalizationMethod | 'none'): Result['links'] {
  const link = (artifact: Artifact): string =>
    `/v1/results/${id}/${artifact}${method === 'none' ? '' : `?method=${method}`}`;
  return { heatmap: link('heatmap'), overlay: link('overlay'), mask: link('mask'), map: link('map') };
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e5) / 100;
}
