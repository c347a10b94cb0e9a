/** Looks at the header of an image: its format, its size, whether it is within the limits, how to decode it. */
import sharp from 'sharp';
import { formatOf, type ImageFormat } from './formats.js';
import { plainSize } from './headers.js';
import { damaged, ImageError } from './image-error.js';
import type { PictureSize } from './map.js';
import { type FileReading, readingOf } from './supported.js';

/** Limits on images. */
export interface ImageLimits {
  readonly maxBytes: number;
  /** Width times height. */
  readonly maxPixels: number;
}

export const defaultImageLimits: ImageLimits = { maxBytes: 32 * 2 ** 20, maxPixels: 50_000_000 };

/** An input image: the bytes of a file, or decoded pixels. */
export type ImageInput = Uint8Array | PixelImage;

export interface PixelImage extends PictureSize {
  /** uint8 RGB [height, width, 3] */
  readonly pixels: Uint8Array;
}

/**
 * Checks format and limits of an image from its header, without decoding it.
 * @returns its size in pixels, after EXIF orientation.
 * @throws ImageError
 */
export async function inspectImage(image: ImageInput, limits: ImageLimits): Promise<PictureSize> {
  const { width, height } = await inspect(image, limits);
  return { width, height };
}

/**
 * Checks an image from its header, and says how to decode it.
 * @param kind a mask may hold numbers of a type that no photo has.
 * @throws ImageError
 */
export async function inspect(
  image: ImageInput,
  limits: ImageLimits,
  kind: 'photo' | 'mask' = 'photo',
): Promise<PictureSize & { readonly reading: FileReading }> {
  const bytes = image instanceof Uint8Array ? image : image.pixels;
  if (bytes.length === 0) {
    throw new ImageError('empty', 'the image is empty; wanted a JPEG, PNG, WebP or TIFF file');
  }
  if (bytes.length > limits.maxBytes) {
    throw new ImageError(
      'too-many-bytes',
      `the image has ${bytes.length} bytes; at most ${limits.maxBytes} are accepted`,
    );
  }
  const { width, height, reading } =
    image instanceof Uint8Array ? await inspectFile(image, kind) : { ...image, reading: decodedPixels };
  if (width * height > limits.maxPixels) {
    throw new ImageError(
      'too-many-pixels',
      `the image has ${width} x ${height} = ${megapixels(width * height)}; at most ${megapixels(limits.maxPixels)} are accepted`,
    );
  }
  return { width, height, reading };
}

/** How decoded pixels are read. */
export const decodedPixels: FileReading = { page: 0, warnings: [] };

/** Reads the size of an image file and how to decode it. @throws ImageError if it is not supported. */
async function inspectFile(
  bytes: Uint8Array,
  kind: 'photo' | 'mask',
): Promise<PictureSize & { readonly reading: FileReading }> {
  const format = formatOf(bytes);
  if (!format) {
    throw new ImageError(
      'unsupported',
      'this is not a JPEG, PNG, WebP or TIFF image; wanted one of these formats',
    );
  }
  const reading = readingOf(bytes, format);
  const usable = reading.refusal === undefined || (kind === 'mask' && reading.numbers);
  if (!usable) throw new ImageError('unsupported', reading.refusal);
  const size = plainSize(bytes, format) ?? (await uprightSize(bytes, format, reading.page));
  return { ...size, reading };
}

/** Returns width and height after EXIF orientation, read by libvips. */
async function uprightSize(bytes: Uint8Array, format: ImageFormat, page: number): Promise<PictureSize> {
  const metadata = await sharp(bytes, { limitInputPixels: false, page })
    .metadata()
    .catch((error: unknown) => {
      throw damaged(format, error);
    });
  return metadata.autoOrient;
}

export function megapixels(count: number): string {
  return `${Math.round(count / 1e5) / 10} megapixels`;
}
