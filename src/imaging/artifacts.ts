/** What a localization map can be fetched as: pictures on the detector's own scale, or the map itself. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ImageInput, ImageLimits } from './inspect.js';
import type { LocalizationMap, PictureSize } from './map.js';
import { emptyNpy } from './npy.js';
import { renderHeatmap, renderMask, renderOverlay } from './render.js';
import { resizeMap } from './resize-map.js';
import type { ValueRange } from './value-range.js';

export const artifacts = ['heatmap', 'overlay', 'mask', 'map'] as const;
export type Artifact = (typeof artifacts)[number];

/** The map of an image, and what is needed to draw it. */
export interface MappedImage {
  /** At the detector's resolution. */
  readonly map: LocalizationMap;
  /** The value that good parts' maps stay below. */
  readonly threshold: number;
  /** Of the image as seen; pictures have it too. */
  readonly size: PictureSize;
  /** As received, for the overlay. */
  readonly image: ImageInput;
  readonly limits: ImageLimits;
  readonly range: ValueRange | undefined;
}

/** Returns the bytes of an artifact: PNG, or .npy of the map. @throws ImageError if the image cannot be drawn. */
export async function renderArtifact(
  kind: Artifact,
  { map, threshold, size, image, limits, range }: MappedImage,
): Promise<Buffer> {
  switch (kind) {
    case 'heatmap':
      return renderHeatmap(map, threshold, size);
    case 'overlay':
      return renderOverlay(image, map, threshold, size, limits, range);
    case 'mask':
      return renderMask(map, threshold, size);
    case 'map': {
      await nextTurn();
      const { bytes, values } = emptyNpy([size.height, size.width]);
      await resizeMap(map, size, values);
      return bytes;
    }
  }
}
