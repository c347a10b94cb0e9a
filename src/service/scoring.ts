/** From the images of a request to results: decode, score, keep. One bad image fails alone. */
import { randomUUID } from 'node:crypto';
import {
  imageScore,
  type LoadedDetector,
  type LocalizationMethod,
  mapThreshold,
  type ScoredImage,
  TileCollector,
} from '../detector/index.js';
import {
  type DetectorImage,
  decodeImage,
  encodeNpy,
  findRegions,
  type ImageLimits,
  type LocalizationMap,
  renderHeatmap,
  renderMask,
  renderOverlay,
  resizeMap,
  tileBox,
  tileCount,
  tilePixels,
} from '../imaging/index.js';
import type { Admission } from './admission.js';
import type { Inference, MapKind, Patience } from './inference.js';
import type { Metrics } from './metrics.js';
import { ProblemError, problemOf } from './problems.js';
import { type MapRequest, mapKey, type ResultStore, type StoredResult } from './result-store.js';
import type { Result } from './schemas.js';
import type { Statistics } from './statistics.js';
import type { Upload } from './uploads.js';

export type Artifact = 'heatmap' | 'overlay' | 'mask' | 'map';

export interface ScoreOptions extends Patience {
  /** Also computes localization maps by this method, which the results keep. */
  readonly map: MapKind;
  /** Of which images: by default of all. */
  readonly mapsOf?: 'anomalous' | 'all';
  /** Instead of the detector's own. */
  readonly threshold?: number | undefined;
}

/** A detector and the name it goes by here. */
interface NamedDetector {
  readonly detectorName: string;
  readonly detector: LoadedDetector;
}

/** The image of an upload that could not be scored. */
export interface FailedUpload {
  readonly name: string | undefined;
  readonly error: unknown;
}

export class Scoring {
  constructor(
    private readonly inference: Inference,
    private readonly admission: Admission,
    private readonly store: ResultStore,
    private readonly metrics: Metrics,
    private readonly statistics: Statistics,
    private readonly image: ImageLimits,
  ) {}

  /**
   * Scores the images of one request; each goes its own way, and may share a batch with those of others.
   * @returns results and failures in the order of the uploads.
   * @throws ProblemError when there is too much work, or the detector has no such map.
   */
  async score(
    detectorName: string,
    detector: LoadedDetector,
    uploads: readonly Upload[],
    options: ScoreOptions,
  ): Promise<(StoredResult | FailedUpload)[]> {
    if (options.map !== 'none') checkedThreshold(detector, { method: options.map });
    const release = this.admission.images(uploads.length);
    try {
      return await Promise.all(
        uploads.map(async (upload) => {
          const began = performance.now();
          const record = (outcome: 'success' | 'fail'): void => {
            const seconds = (performance.now() - began) / 1000;
            this.statistics.image(detectorName, detector.version, outcome, seconds);
          };
          try {
            const stored = await this.#scoreOne(detectorName, detector, upload, options);
            record('success');
            return stored;
          } catch (error) {
            record('fail');
            if (uploads.length > 1) this.metrics.errors.inc({ kind: problemOf(error).kind });
            return { name: upload.name, error };
          }
        }),
      );
    } finally {
      release();
    }
  }

  /** The picture or map of a result, computed now if it was only scored before. */
  async artifact(
    stored: StoredResult,
    detector: LoadedDetector,
    artifact: Artifact,
    request: MapRequest,
    patience: Patience,
  ): Promise<Buffer> {
    const threshold = checkedThreshold(detector, request);
    const release = this.admission.images(1);
    const hold = this.admission.pixels(patience);
    try {
      const map = await this.#map(stored, detector, request, patience);
      await hold.take(stored.result.width * stored.result.height);
      const stop = this.metrics.renderSeconds.startTimer({ artifact });
      const rendered = await this.#rendered(stored, artifact, map, threshold);
      const seconds = stop();
      patience.trace?.stage('render', seconds, { 'mkd.artifact': artifact });
      return rendered;
    } catch (error) {
      throw this.inference.explained(error, patience.timeoutMs);
    } finally {
      hold.release();
      release();
    }
  }

  async #rendered(
    { image, result: { width, height } }: StoredResult,
    artifact: Artifact,
    map: LocalizationMap,
    threshold: number,
  ): Promise<Buffer> {
    const size = { width, height };
    switch (artifact) {
      case 'heatmap':
        return renderHeatmap(map, threshold, size);
      case 'overlay':
        return renderOverlay(image, map, threshold, size, this.image);
      case 'mask':
        return renderMask(map, threshold, size);
      case 'map':
        return encodeNpy(await resizeMap(map, size), [height, width]);
    }
  }

  async #map(
    stored: StoredResult,
    detector: LoadedDetector,
    request: MapRequest,
    patience: Patience,
  ): Promise<LocalizationMap> {
    const known = stored.maps.get(mapKey(request));
    if (known) return known;
    const { map } = await this.#decoded(stored.image, detector, patience, (image) =>
      this.#infer({ detectorName: stored.detectorName, detector }, image, request, patience),
    );
    if (!map) throw new RangeError(`there is no map by ${request.method}`);
    stored.maps.set(mapKey(request), map);
    return map;
  }

  /** Decodes an image and does something with it; its pixels count as in flight meanwhile. */
  async #decoded<Result>(
    bytes: Uint8Array,
    { input }: LoadedDetector,
    patience: Patience,
    work: (image: DetectorImage, decodeSeconds: number) => Promise<Result>,
  ): Promise<Result> {
    const hold = this.admission.pixels(patience);
    const began = performance.now();
    try {
      const admit = (pixels: number): Promise<void> => hold.take(pixels);
      const image = await decodeImage(bytes, input, { ...this.image, admit });
      hold.shrink(image.grid.width * image.grid.height);
      return await work(image, (performance.now() - began - hold.waitedMs) / 1000);
    } catch (error) {
      throw this.inference.explained(error, patience.timeoutMs);
    } finally {
      hold.release();
    }
  }

  #scoreOne(
    detectorName: string,
    detector: LoadedDetector,
    upload: Upload,
    options: ScoreOptions,
  ): Promise<StoredResult> {
    return this.#decoded(upload.bytes, detector, options, (image, decodeSeconds) => {
      this.metrics.decodeSeconds.observe(decodeSeconds);
      this.statistics.stage(detectorName, detector.version, 'decode', decodeSeconds);
      options.trace?.stage('decode', decodeSeconds, { 'mkd.image.bytes': upload.bytes.length });
      return this.#scoreImage({ detectorName, detector }, upload, image, decodeSeconds, options);
    });
  }

  async #scoreImage(
    by: NamedDetector,
    upload: Upload,
    image: DetectorImage,
    decodeSeconds: number,
    options: ScoreOptions,
  ): Promise<StoredResult> {
    const { detectorName, detector } = by;
    const { map, mapsOf = 'all', threshold } = options;
    const { width, height, grid } = image;
    const first = mapsOf === 'all' ? map : 'none';
    const inferred = await this.#infer(by, image, { method: first }, options);
    this.statistics.stage(detectorName, detector.version, 'queue', inferred.queueSeconds);
    const score = imageScore(detector, inferred.outputs, inferred.index, threshold);
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
      ...(score.peak ? { peak: score.peak } : {}),
      ...(detector.input.tiling
        ? { tiles: { count: tileCount(grid), highest: tileBox(grid, inferred.tile, image) } }
        : {}),
      timings: {
        decodeMs: milliseconds(decodeSeconds),
        queueMs: milliseconds(inferred.queueSeconds),
        inferenceMs: milliseconds(inferred.seconds),
      },
      links: linksOf(id, map === detector.manifest.localization ? 'none' : map),
    };
    const stored: StoredResult = {
      detectorName,
      version: detector.version,
      localization: detector.manifest.localization,
      result,
      grid,
      image: upload.bytes,
      maps: new Map(),
    };
    const later = map !== 'none' && first === 'none' && score.verdict === 'anomalous';
    const mapped = later ? await this.#infer(by, image, { method: map }, options) : inferred;
    if (map !== 'none' && mapped.map) this.#keepMap(stored, detector, map, mapped.map);
    this.metrics.scores.observe(
      { detector: detectorName },
      score.score / detector.manifest.calibration.threshold,
    );
    for (const { layer, direction } of score.layers) {
      this.metrics.layerDirections.observe({ detector: detectorName, layer }, direction);
    }
    this.metrics.drift.record(detectorName, detector, score.layers);
    this.metrics.verdicts.inc({ detector: detectorName, verdict: score.verdict });
    this.store.add(stored);
    return stored;
  }

  /**
   * Sends an image on its way, tile by tile: a few at a time, so that a large image neither fills the queue nor keeps
   * others waiting.
   */
  async #infer(
    { detectorName, detector }: NamedDetector,
    image: DetectorImage,
    { method, layer }: { readonly method: MapKind; readonly layer?: string | undefined },
    patience: Patience,
  ): Promise<ScoredImage & { readonly queueSeconds: number; readonly seconds: number }> {
    const total = tileCount(image.grid);
    const collector = new TileCollector(image.grid, method !== 'none');
    const began = performance.now();
    let [next, queueSeconds, seconds] = [0, 0, 0];
    const work = async (): Promise<void> => {
      while (next < total) {
        const tile = next++;
        const job = { detector, pixels: tilePixels(image, tile), map: method, layer };
        const inferred = await this.inference.submit(detectorName, job, patience);
        collector.add(tile, inferred.outputs, inferred.index);
        queueSeconds = Math.max(queueSeconds, inferred.queueSeconds);
        // A tile has its share of a batch; an image by itself waited for all of it.
        seconds += inferred.seconds / (total > 1 ? inferred.batch : 1);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(total, tilesAtOnce) }, work));
    } finally {
      // Where one tile fails, the others need not be begun.
      next = total;
    }
    const waited = (performance.now() - began) / 1000;
    patience.trace?.stage('inference', waited, {
      'mkd.detector': detectorName,
      'mkd.detector.version': detector.version,
      'mkd.map': method,
      'mkd.tiles': total,
      'mkd.queue.seconds': queueSeconds,
      'mkd.runtime.seconds': seconds,
    });
    return { ...collector.image(), queueSeconds, seconds };
  }

  /** Keeps a map that came with the score, and says where it is anomalous. */
  #keepMap(
    stored: StoredResult,
    detector: LoadedDetector,
    method: LocalizationMethod,
    map: LocalizationMap,
  ): void {
    const { result } = stored;
    const { width, height } = result;
    stored.maps.set(mapKey({ method }), map);
    const threshold = mapThreshold(detector, method);
    result.localization = { method, regions: findRegions(map, threshold, { width, height }) };
  }
}

/** Tiles of one image that wait or are worked on. */
const tilesAtOnce = 16;

/** What good parts' maps stay below. @throws ProblemError when the detector has no such map. */
export function checkedThreshold(detector: LoadedDetector, { method, layer }: MapRequest): number {
  try {
    return mapThreshold(detector, method, layer);
  } catch (error) {
    throw error instanceof RangeError ? new ProblemError('unknown-map', error.message) : error;
  }
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
