/** Types of localization maps, regions of interest and picture sizes. */

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
