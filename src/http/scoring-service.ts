/** From the images of a request to results: admission, scoring pipeline, result store. */
import { randomUUID } from 'node:crypto';
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import { type Artifact, artifacts, type ImageInput, type Region } from '../imaging/index.js';
import {
  type Deadline,
  type Localization,
  mapThreshold,
  type NamedDetector,
  type ScoredImage,
  type ScoringPipeline,
} from '../scoring/index.js';
import type { KeptResults } from './kept-results.js';
import type { Admission } from './plugins/limits.js';
import type { StoredResult } from './result-store.js';
import type { Result } from './v1/schemas/index.js';

/** An image of a request. */
export interface Upload {
  readonly name: string | undefined;
  readonly image: ImageInput;
}

/** Options of a request, for all its images. */
export interface ScoringRequest {
  /** The map to compute with each score; none by default. */
  readonly map?: LocalizationMethod | undefined;
  /** Computes the map of anomalous images only. */
  readonly mapIfAnomalous?: boolean;
  /** Instead of the detector's own. */
  readonly threshold?: number | undefined;
  readonly deadline: Deadline;
  /** The HTTP request, for observers. */
  readonly request: object;
}

/** An image that could not be scored. */
export interface FailedUpload {
  readonly name: string | undefined;
  readonly error: unknown;
}

export class ScoringService {
  constructor(
    private readonly pipeline: ScoringPipeline,
    private readonly admission: Admission,
    private readonly results: KeptResults,
  ) {}

  /**
   * Scores the images of one request. Each image may share a batch with images of other requests; one bad image fails
   * alone.
   * @returns results and failures in the order of the uploads.
   * @throws ProblemError if there is too much work; UnknownMapError if the detector has no such map.
   */
  async score(
    by: NamedDetector,
    uploads: readonly Upload[],
    request: ScoringRequest,
  ): Promise<(StoredResult | FailedUpload)[]> {
    if (request.map) mapThreshold(by.detector, request.map);
    return this.#admitted(uploads.length, () =>
      Promise.all(
        uploads.map((upload) =>
          this.#scoreOne(by, upload, request).catch((error: unknown) => ({ name: upload.name, error })),
        ),
      ),
    );
  }

  /** Returns the picture or map of a result. Computes the map if it was not requested before. */
  async artifact(
    stored: StoredResult,
    detector: LoadedDetector,
    artifact: Artifact,
    map: LocalizationMethod,
    { deadline, request }: Pick<ScoringRequest, 'deadline' | 'request'>,
  ): Promise<Buffer> {
    mapThreshold(detector, map);
    const job = { detector, name: stored.detectorName, image: stored.image, deadline, request };
    return this.#admitted(1, async () => {
      const known = stored.maps.get(map);
      let localization: Localization;
      if (known) localization = this.pipeline.localization(job, stored.size, map, known);
      else {
        localization = await this.pipeline.localize(job, map);
        this.results.addMap(stored, map, localization.map);
      }
      return this.pipeline.render(job, localization, artifact);
    });
  }

  /** Returns the image of a result as people see it, as PNG. */
  async photo(
    { image, size }: StoredResult,
    detector: LoadedDetector,
    { deadline, request }: Pick<ScoringRequest, 'deadline' | 'request'>,
  ): Promise<Buffer> {
    return this.#admitted(1, () => this.pipeline.photo({ detector, image, deadline, request }, size));
  }

  /** Returns a thumbnail of the image of a result, as the detector sees it. */
  async thumbnail(
    { image }: StoredResult,
    detector: LoadedDetector,
    { deadline, request }: Pick<ScoringRequest, 'deadline' | 'request'>,
  ): Promise<Uint8Array> {
    return this.#admitted(1, () => this.pipeline.thumbnail({ detector, image, deadline, request }));
  }

  /** Does work on so many images. @throws ProblemError if there is too much of it already. */
  async #admitted<Result>(images: number, work: () => Promise<Result>): Promise<Result> {
    const release = this.admission.images(images);
    try {
      return await work();
    } finally {
      release();
    }
  }

  async #scoreOne(
    { name: detectorName, detector }: NamedDetector,
    { name, image }: Upload,
    { map, mapIfAnomalous = false, threshold, deadline, request }: ScoringRequest,
  ): Promise<StoredResult> {
    const scored = await this.pipeline.score(
      { detector, name: detectorName, image, deadline, request },
      { map, mapIfAnomalous, threshold },
    );
    const { localization: method } = detector.manifest;
    const { localization } = scored;
    const linked = map === method ? undefined : map;
    const regions = await localization?.regions();
    const result = resultOf(scored, name, linked, regions);
    const stored: StoredResult = {
      detectorName,
      version: detector.version,
      localization: method,
      result,
      image,
      size: scored.size,
      maps: new Map(localization ? [[localization.method, localization.map]] : []),
    };
    this.results.add(stored);
    return stored;
  }
}

/** @param linked the map that the links refer to, unless it is the detector's own. */
function resultOf(
  scored: ScoredImage,
  name: string | undefined,
  linked: LocalizationMethod | undefined,
  regions: readonly Region[] | undefined,
): Result {
  const { size, localization, timings, tiles, peak, warnings } = scored;
  const id = randomUUID();
  return {
    id,
    ...(name === undefined ? {} : { name }),
    width: size.width,
    height: size.height,
    score: scored.score,
    threshold: scored.threshold,
    pValue: scored.pValue,
    pValueIsBound: scored.pValueIsBound,
    verdict: scored.verdict,
    layers: [...scored.layers],
    ...(warnings ? { warnings: [...warnings] } : {}),
    ...(peak === undefined ? {} : { peak }),
    ...(tiles ? { tiles } : {}),
    timings: {
      decodeMs: milliseconds(timings.decode),
      queueMs: milliseconds(timings.queue),
      inferenceMs: milliseconds(timings.inference),
    },
    links: linksOf(id, linked),
    ...(localization && regions
      ? { localization: { method: localization.method, regions: [...regions] } }
      : {}),
  };
}

/** Returns the paths of the pictures of a result. */
function linksOf(id: string, method: LocalizationMethod | undefined): Result['links'] {
  const suffix = method === undefined ? '' : `?method=${method}`;
  const pictures = artifacts.map((artifact) => [artifact, `/v1/results/${id}/${artifact}${suffix}`]);
  const links = Object.fromEntries(pictures) as Record<Artifact, string>;
  return { photo: `/v1/results/${id}/photo`, ...links };
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e5) / 100;
}
