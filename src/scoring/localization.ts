/** Where an image is anomalous: its localization map, and the regions and pictures that follow from the map. */
import {
  hasDiscrepancyMap,
  type LoadedDetector,
  type LocalizationMethod,
  localizationMethods,
} from '../detector/index.js';
import type { Artifact, Imager, LocalizationMap, MappedImage, Region } from '../imaging/index.js';

/** The detector has no map of this kind; the message lists those it has. */
export class UnknownMapError extends RangeError {
  override readonly name = 'UnknownMapError';
}

/** Returns the methods by which a detector localizes. */
export function methodsOf({ shape }: LoadedDetector): LocalizationMethod[] {
  return localizationMethods.filter((method) => method !== 'discrepancy' || hasDiscrepancyMap(shape.cloner));
}

/** Returns the method to localize by: the requested one, by default the detector's own. @throws UnknownMapError if it has none such. */
export function methodFor(detector: LoadedDetector, method?: LocalizationMethod): LocalizationMethod {
  const wanted = method ?? detector.manifest.localization;
  mapThreshold(detector, wanted);
  return wanted;
}

/** Returns the value that good parts' maps stay below. @throws UnknownMapError if the detector has no such map. */
export function mapThreshold(detector: LoadedDetector, method: LocalizationMethod): number {
  const threshold = detector.manifest.calibration.mapThresholds[method];
  if (threshold !== undefined) return threshold;
  throw new UnknownMapError(
    `this detector has no map by '${method}'; available: ${methodsOf(detector).join(', ')}`,
  );
}

/** A map of one image, and everything derived from it. Pictures have the size of the image. */
export class Localization {
  /**
   * @param mapped the image and its map.
   * @param imager where regions are found and pictures are drawn.
   */
  constructor(
    readonly method: LocalizationMethod,
    readonly mapped: MappedImage,
    private readonly imager: Imager,
  ) {}

  get map(): LocalizationMap {
    return this.mapped.map;
  }

  /** Returns the regions that reach the threshold, highest peak first. */
  regions(): Promise<readonly Region[]> {
    const { map, threshold, size } = this.mapped;
    return this.imager.regions(map, threshold, size);
  }

  /** Returns the bytes of an artifact: PNG, on the detector's own scale (good parts stay dark), or .npy of the map. */
  artifact(kind: Artifact): Promise<Buffer> {
    return this.imager.render(kind, this.mapped);
  }
}
