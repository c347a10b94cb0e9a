/** The detector of the library: open it, score and localize images, close it. */
import {
  findDetector,
  type LocalizationMethod,
  type Manifest,
  readDetector,
  type UnverifiedDetector,
} from './detector/index.js';
import {
  type ImageInput,
  type ImageLimits,
  type LocalizationMap,
  type Region,
  resizeMap,
} from './imaging/index.js';
import type { DeviceOptions, Provider } from './runtime/index.js';
import {
  DirectInference,
  type ImageScore,
  methodFor,
  runSelfTest,
  ScoringEngine,
  ScoringPipeline,
  scoreOf,
} from './scoring/index.js';

export interface OpenOptions extends DeviceOptions {
  /** Folders with imported experts. */
  readonly expertFolders?: readonly string[];
  readonly limits?: ImageLimits;
}

/** A score and where it comes from. Pictures have the size of the original image. */
export interface Localization extends ImageScore {
  /** Of the whole image, at the detector's resolution. */
  readonly map: LocalizationMap;
  /** Regions that reach the detector's map threshold, highest peak first. */
  readonly regions: readonly Region[];
  /** PNG, on the detector's own scale: good parts stay dark. */
  heatmap(): Promise<Buffer>;
  /** PNG of the image with the heatmap on top. */
  overlay(): Promise<Buffer>;
  /** PNG, 255 where the map reaches the detector's map threshold. */
  mask(): Promise<Buffer>;
  /** float32 [height, width] of the original image. */
  fullMap(): Promise<Float32Array>;
}

export interface ScoreOptions {
  /** Instead of the detector's own. */
  readonly threshold?: number | undefined;
}

export interface LocalizeOptions extends ScoreOptions {
  /** Instead of the detector's own. */
  readonly method?: LocalizationMethod;
}

/** A detector ready to score. Inference runs in its own thread. */
export interface Detector {
  readonly manifest: Manifest;
  readonly version: string;
  readonly provider: Provider;
  /** Returns whether the cloner was trained on this file. If so, its score is lower than that of a new image. */
  hasLearned(image: Uint8Array): boolean;
  /** @param image bytes of a JPEG, PNG, WebP or TIFF file, or pixels that are already decoded. @throws ImageError */
  score(image: ImageInput, options?: ScoreOptions): Promise<ImageScore>;
  /** @throws ImageError; UnknownMapError if the detector has no such map. */
  localize(image: ImageInput, options?: LocalizeOptions): Promise<Localization>;
  close(): Promise<void>;
}

/**
 * Opens a detector and runs its self-test.
 * @param nameOrPath folder of a detector, or the name of an embedded one (`sample`).
 * @throws DetectorError if it is not a detector, or its self-test fails; RuntimeError if the provider is unavailable.
 */
export async function openDetector(nameOrPath: string, options: OpenOptions = {}): Promise<Detector> {
  const detector = await readDetector(await findDetector(nameOrPath), options.expertFolders);
  const engine = await ScoringEngine.open(options);
  try {
    await runSelfTest(engine, detector);
  } catch (error) {
    await engine.close();
    throw error;
  }
  return detectorOn(engine, detector, options.limits);
}

function detectorOn(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  limits: ImageLimits | undefined,
): Detector {
  const pipeline = new ScoringPipeline(new DirectInference(engine), limits ? { limits } : {});
  return {
    manifest: detector.manifest,
    version: detector.version,
    provider: engine.provider,
    hasLearned: (image) => detector.learned.has(image),
    async score(image, { threshold } = {}) {
      checkImage(image);
      return scoreOf(await pipeline.score({ detector, image }, { threshold }));
    },
    async localize(image, { threshold, method } = {}) {
      checkImage(image);
      const map = methodFor(detector, method);
      const scored = await pipeline.score({ detector, image }, { threshold, map });
      const { localization } = scored;
      if (!localization) throw new Error('a map was requested and not computed');
      return {
        ...scoreOf(scored),
        map: localization.map,
        regions: await localization.regions(),
        heatmap: () => localization.artifact('heatmap'),
        overlay: () => localization.artifact('overlay'),
        mask: () => localization.artifact('mask'),
        fullMap: () => resizeMap(localization.map, localization.mapped.size),
      };
    },
    close: () => engine.close(),
  };
}

/** Callers without types pass paths and promises. @throws TypeError */
function checkImage(image: unknown): void {
  if (image instanceof Uint8Array) return;
  if (typeof image === 'object' && image !== null && 'pixels' in image) return;
  throw new TypeError(
    `an image must be the bytes of its file (a Uint8Array or Buffer), or { pixels, width, height }, not a ${typeof image}`,
  );
}
