/** The library's way to a detector: open it, score and localize images, close it. */
import {
  findDetector,
  type ImageScore,
  imageMap,
  imageScore,
  type LoadedDetector,
  type LocalizationMethod,
  layerScorer,
  type Manifest,
  mapThreshold,
  readDetector,
  runSelfTest,
  ScoringEngine,
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
} from './imaging/index.js';
import type { DeviceOptions, Provider } from './runtime/index.js';

export interface OpenOptions extends DeviceOptions {
  /** Folders with imported experts. */
  readonly expertFolders?: readonly string[];
  readonly limits?: ImageLimits;
}

/** A score and where it comes from. Pictures are in the original image's size. */
export interface Localization extends ImageScore {
  /** At the detector's input size. */
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

function detectorOn(engine: ScoringEngine, detector: LoadedDetector, limits: ImageLimits): Detector {
  const { inputSize } = detector.shape;
  return {
    manifest: detector.manifest,
    version: detector.version,
    provider: engine.provider,
    async score(image, { threshold } = {}) {
      checkBytes(image);
      const { pixels } = await decodeImage(image, inputSize, limits);
      return imageScore(detector, (await engine.run(detector, pixels, 'none')).outputs, 0, threshold);
    },
    async localize(
      image,
      { layer, method = layer ? 'discrepancy' : detector.manifest.localization, threshold } = {},
    ) {
      checkBytes(image);
      const quietBelow = mapThreshold(detector, method, layer);
      const { pixels, width, height } = await decodeImage(image, inputSize, limits);
      const { outputs } = await engine.run(detector, pixels, method);
      const mapped = layer
        ? (await engine.run(layerScorer(detector, layer), pixels, method)).outputs
        : outputs;
      const map = imageMap(detector, mapped, 0);
      const size = { width, height };
      return {
        ...imageScore(detector, outputs, 0, threshold),
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
