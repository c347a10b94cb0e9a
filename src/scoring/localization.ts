/** Where an image is anomalous: its localization map, and the regions and pictures that follow from the map. */
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import { localizationMethods } from '../detector/index.js';
import type { Artifact, Imager, LocalizationMap, MappedImage, Region } from '../imaging/index.js';

/** How a map is computed, and of which critical layer if of a single one. */
export interface MapRequest {
  readonly method: LocalizationMethod;
  readonly layer?: string | undefined;
}

/** The detector has no map of this kind; the message lists those it has. */
export class UnknownMapError extends RangeError {
  override readonly name = 'UnknownMapError';
}

/**
 * Returns the requested map: by default the detector's own; for a layer, its discrepancy map.
 * @throws UnknownMapError if the detector has no such map.
 */
export function mapRequest(
  detector: LoadedDetector,
  {
    method,
    layer,
  }: { readonly method?: LocalizationMethod | undefined; readonly layer?: string | undefined } = {},
): MapRequest {
  const request = {
    method: method ?? (layer === undefined ? detector.manifest.localization : 'discrepancy'),
    layer,
  };
  mapThreshold(detector, request);
  return request;
}

/** Returns the methods by which a detector localizes. */
export function methodsOf({ shape }: LoadedDetector): LocalizationMethod[] {
  return localizationMethods.filter((method) => method !== 'discrepancy' || shape.positions);
}

/** Returns the value that good parts' maps stay below. @throws UnknownMapError if the detector has no such map. */
export function mapThreshold(detector: LoadedDetector, { method, layer }: MapRequest): number {
  const { mapThresholds, layerMapThresholds = {} } = detector.manifest.calibration;
  if (layer !== undefined) {
    const threshold = method === 'discrepancy' ? layerMapThresholds[layer] : undefined;
    if (threshold !== undefined) return threshold;
    const known = Object.keys(layerMapThresholds);
    throw new UnknownMapError(
      known.length > 0
        ? `there is no map of layer '${layer}' by ${method}; available by discrepancy: ${known.join(', ')}`
        : 'this detector compares whole layers only and has no maps of layers',
    );
  }
  const threshold = mapThresholds[method];
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
    readonly request: MapRequest,
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
