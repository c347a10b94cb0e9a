/** Localization maps and the pictures they become, as data. */

/** A localization map: row-major, at least 0. It covers the whole image, whatever the image's size. */
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
