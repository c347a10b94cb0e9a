/** Localization maps, regions of interest and sizes. */

/** A localization map: row-major, values from 0. It covers the whole image, whatever its size. */
export interface LocalizationMap {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/** Size of a picture, in pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** The part of an image that counts. It covers the whole image, whatever its size. */
export interface RegionOfInterest extends PictureSize {
  /** Row-major: 1 inside, 0 outside. */
  readonly inside: Uint8Array;
}

/** Size of a detector's input in pixels: the side of a square, or width and height. */
export type InputSize = number | PictureSize;

/** Returns width and height of a detector's input. */
export function sidesOf(size: InputSize): PictureSize {
  return typeof size === 'number' ? { width: size, height: size } : size;
}

/** Returns the number of pixels of a detector's input. */
export function areaOf(size: InputSize): number {
  const { width, height } = sidesOf(size);
  return width * height;
}

/** Returns the side of a square input. @throws RangeError if it is not square. */
export function sideOf(size: InputSize): number {
  const { width, height } = sidesOf(size);
  if (width === height) return width;
  throw new RangeError(`an input of ${width} x ${height} pixels is not square`);
}
