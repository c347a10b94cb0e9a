/** Localization maps and the pictures they become, as data. */

/** A localization map: square, row-major, at least 0. */
export interface LocalizationMap {
  readonly size: number;
  readonly values: Float32Array;
}

/** Size of a picture, in pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}
