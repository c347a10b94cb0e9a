/** Types of localization maps and picture sizes. */

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
