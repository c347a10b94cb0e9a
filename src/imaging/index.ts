/** Decoding, rendering and encoding of images: the only module that uses sharp. */

export { type Artifact, artifacts, type MappedImage } from './artifacts.js';
export { type Components, labelComponents } from './components.js';
export { contactSheet, forSheet, type SheetPicture } from './contact-sheet.js';
export {
  asSeen,
  type DetectorImage,
  decodeImage,
  decodeNamedImage,
  named,
  type OnWarning,
  rangeOfFile,
} from './decode.js';
export { contrastLost } from './detail.js';
export { decodePng, encodePng } from './encode.js';
export { formatOf, type ImageFormat, isImageFile } from './formats.js';
export { ImageError, type ImageErrorKind } from './image-error.js';
export { directImager, type Imager } from './imager.js';
export { ImagingThreads } from './imaging-threads.js';
export {
  defaultImageLimits,
  type ImageInput,
  type ImageLimits,
  inspectImage,
  type PixelImage,
} from './inspect.js';
export {
  areaOf,
  type InputSize,
  type LocalizationMap,
  type PictureSize,
  type RegionOfInterest,
  sideOf,
  sidesOf,
} from './map.js';
export { decodeMask, inspectMask, type Mask } from './mask.js';
export { emptyNpy, encodeNpy } from './npy.js';
export { inOwnShape, maskPicture, preview } from './preview.js';
export { applyProcessSettings } from './process-settings.js';
export { parsePolygons, regionOfMask, regionOfPolygons } from './read-region.js';
export { blankColor, countedValues, insidePlaces, mapOfImage, shareInside } from './region-of-interest.js';
export { findRegions, type Region } from './regions.js';
export {
  renderHeatmap,
  renderMask,
  renderOverlay,
} from './render.js';
export { resizeMap } from './resize-map.js';
export { thumbnail, thumbnailSide } from './thumbnail.js';
export {
  cropped,
  type Fit,
  firstTile,
  fits,
  type InputShape,
  MapStitcher,
  type ScaledImage,
  type TileGrid,
  type Tiling,
  tileBox,
  tileCount,
  tileGrid,
  tilePixels,
  wholeImages,
} from './tiles.js';
export { isValueRange, type MeasuredRange, type ValueRange } from './value-range.js';
