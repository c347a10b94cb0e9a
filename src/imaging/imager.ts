/** Work on images. It takes milliseconds to seconds for each, so a service does it in threads. */
import { type Artifact, type MappedImage, renderArtifact } from './artifacts.js';
import { type Admission, asSeen, type DetectorImage, decodeImage } from './decode.js';
import type { ImageInput, ImageLimits } from './inspect.js';
import type { LocalizationMap, PictureSize } from './map.js';
import { findRegions, type Region } from './regions.js';
import { thumbnail } from './thumbnail.js';
import type { InputShape } from './tiles.js';
import type { ValueRange } from './value-range.js';

/** Where images are decoded, and maps become regions and pictures. */
export interface Imager {
  /** As {@link decodeImage}. @throws ImageError */
  decode(image: ImageInput, shape: InputShape, limits: ImageLimits & Admission): Promise<DetectorImage>;
  /** As {@link findRegions}. */
  regions(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Region[]>;
  /** As {@link renderArtifact}. @throws ImageError */
  render(kind: Artifact, mapped: MappedImage): Promise<Buffer>;
  /** As {@link asSeen}. @throws ImageError */
  photo(image: ImageInput, range: ValueRange | undefined, limits: ImageLimits): Promise<Buffer>;
  /** As {@link thumbnail}, of an image scaled for a detector. @throws ImageError */
  thumbnail(image: ImageInput, shape: InputShape, limits: ImageLimits & Admission): Promise<Uint8Array>;
}

/** In the thread that asks. */
export const directImager: Imager = {
  decode: decodeImage,
  regions: async (map, threshold, to) => findRegions(map, threshold, to),
  render: renderArtifact,
  photo: asSeen,
  thumbnail: async (image, shape, limits) => thumbnail(await decodeImage(image, shape, limits)),
};
