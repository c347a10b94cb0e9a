/** Where an image is anomalous: its localization map, and the regions and pictures that follow from the map. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import { localizationMethods } from '../detector/index.js';
import {
  emptyNpy,
  findRegions,
  type ImageInput,
  type ImageLimits,
  type LocalizationMap,
  type PictureSize,
  type Region,
  renderHeatmap,
  renderMask,
  renderOverlay,
  resizeMap,
  type ValueRange,
} from '../imaging/index.js';

/** How a map is computed, and of which critical layer if of a single one. */
export interface MapRequest {
  readonly method: LocalizationMethod;
  readonly layer?: string | undefined;
}

/** What a map can be fetched as. */
export const artifacts = ['heatmap', 'overlay', 'mask', 'map'] as const;
export type Artifact = (typeof artifacts)[number];

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
  #regions: readonly Region[] | undefined;

  /**
   * @param map at the detector's resolution.
   * @param threshold the value good parts' maps stay below.
   * @param image as received, for the overlay.
   * @param size of the image as seen.
   */
  constructor(
    readonly request: MapRequest,
    readonly map: LocalizationMap,
    readonly threshold: number,
    readonly size: PictureSize,
    private readonly image: ImageInput,
    private readonly limits: ImageLimits,
    private readonly range: ValueRange | undefined,
  ) {}

  /** Regions that reach the threshold, highest peak first. */
  get regions(): readonly Region[] {
    this.#regions ??= findRegions(this.map, this.threshold, this.size);
    return this.#regions;
  }

  /** PNG, on the detector's own scale: good parts stay dark. */
  heatmap(): Promise<Buffer> {
    return renderHeatmap(this.map, this.threshold, this.size);
  }

  /** PNG of the image under the heatmap. */
  overlay(): Promise<Buffer> {
    return renderOverlay(this.image, this.map, this.threshold, this.size, this.limits, this.range);
  }

  /** PNG, 255 where the map reaches the threshold. */
  mask(): Promise<Buffer> {
    return renderMask(this.map, this.threshold, this.size);
  }

  /** float32 [height, width] */
  fullMap(): Promise<Float32Array> {
    return resizeMap(this.map, this.size);
  }

  /** Returns the bytes of an artifact: PNG, or .npy of the map. */
  async artifact(kind: Artifact): Promise<Buffer> {
    switch (kind) {
      case 'heatmap':
        return this.heatmap();
      case 'overlay':
        return this.overlay();
      case 'mask':
        return this.mask();
      case 'map': {
        await nextTurn();
        const { bytes, values } = emptyNpy([this.size.height, this.size.width]);
        await resizeMap(this.map, this.size, values);
        return bytes;
      }
    }
  }
}
