/** The library's way to a detector: open it, score and localize images, close it. */
import {
  findDetector,
  type ImageScore,
  imageScore,
  type LocalizationMethod,
  layerScorer,
  type Manifest,
  mapThreshold,
  readDetector,
  runSelfTest,
  type ScoredImage,
  type Scorer,
  ScoringEngine,
  scoreImages,
  type UnverifiedDetector,
} from './detector/index.js';
import {
  decodeImage,
  defaultImageLimits,
  findRegions,
  type ImageLimits,
  type LocalizationMap,
  type Region,
  renderHeatmap,
  renderMask,
  renderOverlay,
  resizeMap,
  type ScaledImage,
} from './imaging/index.js';
import type { DeviceOptions, Provider } from './runtime/index.js';

export interface OpenOptions extends DeviceOptions {
  /** Folders with imported experts. */
  readonly expertFolders?: readonly string[];
  readonly limits?: ImageLimits;
}

/** A score and where it comes from. Pictures are in the original image's size. */
export interface Localization extends ImageScore {
  /** Of the whole image, at the detector's resolution. */
  readonly map: LocalizationMap;
  /** What reaches the detector's map threshold, highest peak first. */
  readonly regions: readonly Region[];
  /** PNG, on the detector's own scale: good parts stay dark. */
  heatmap(): Promise<Buffer>;
  /** PNG of the image under the heatmap. */
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
  /** The discrepancy map of this critical layer alone. */
  readonly layer?: string;
}

/** A detector ready to score. Inference runs in a thread of its own. */
export interface Detector {
  readonly manifest: Manifest;
  readonly version: string;
  readonly provider: Provider;
  /** Whether the cloner has learned from a file of these bytes: it then scores lower than a new image would. */
  hasLearned(image: Uint8Array): boolean;
  /** @param image bytes of a JPEG, PNG, WebP or TIFF file. @throws ImageError */
  score(image: Uint8Array, options?: ScoreOptions): Promise<ImageScore>;
  /** @throws ImageError */
  localize(image: Uint8Array, options?: LocalizeOptions): Promise<Localization>;
  close(): Promise<void>;
}

/**
 * Opens a detector and runs its self-test.
 * @param nameOrPath folder of a detector, or the name of an embedded one (`sample`).
 * @throws DetectorError when it is no detector or scores differently; RuntimeError when the provider is not to be had.
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
  return detectorOn(engine, detector, options.limits ?? defaultImageLimits);
}

function detectorOn(engine: ScoringEngine, detector: UnverifiedDetector, limits: ImageLimits): Detector {
  const scored = async (
    scorer: Scorer,
    image: ScaledImage,
    method: LocalizationMethod | 'none',
  ): Promise<ScoredImage> => {
    const { images } = await scoreImages(engine, scorer, [image], method);
    return images[0] as ScoredImage;
  };
  return {
    manifest: detector.manifest,
    version: detector.version,
    provider: engine.provider,
    hasLearned: (image) => detector.learned.has(image),
    async score(image, { threshold } = {}) {
      checkBytes(image);
      const decoded = await decodeImage(image, detector.input, limits);
      const { outputs, index } = await scored(detector, decoded, 'none');
      return imageScore(detector, outputs, index, threshold);
    },
    async localize(
      image,
      { layer, method = layer ? 'discrepancy' : detector.manifest.localization, threshold } = {},
    ) {
      checkBytes(image);
      const quietBelow = mapThreshold(detector, method, layer);
      const decoded = await decodeImage(image, detector.input, limits);
      const { width, height } = decoded;
      const { outputs, index, map: whole } = await scored(detector, decoded, method);
      const map = layer ? (await scored(layerScorer(detector, layer), decoded, method)).map : whole;
      if (!map) throw new RangeError(`there is no map by ${method}`);
      const size = { width, height };
      return {
        ...imageScore(detector, outputs, index, threshold),
        map,
        regions: findRegions(map, quietBelow, size),
        heatmap: () => renderHeatmap(map, quietBelow, size),
        overlay: () => renderOverlay(image, map, quietBelow, size, limits),
        mask: () => renderMask(map, quietBelow, size),
        fullMap: () => resizeMap(map, size),
      };
    },
    close: () => engine.close(),
  };
}

/** Callers without types hand over paths and promises. @throws TypeError */
function checkBytes(image: unknown): void {
  if (image instanceof Uint8Array) return;
  throw new TypeError(`an image is the bytes of its file, a Uint8Array or Buffer, not a ${typeof image}`);
}
