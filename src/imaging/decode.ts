/**
 * Decodes images to a detector's input, the same way for distillation and serving. Only JPEG, PNG, WebP and TIFF within
 * the limits on bytes and pixels reach a decoder.
 */
import sharp, { type Sharp } from 'sharp';
import { plainSize } from './headers.js';
import type { PictureSize } from './map.js';
import { type InputShape, type ScaledImage, tileGrid } from './tiles.js';

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff';

/** Limits on images. */
export interface ImageLimits {
  readonly maxBytes: number;
  /** Width times height. */
  readonly maxPixels: number;
}

/** Admission control for decoding. */
export interface Admission {
  /** Awaited before decoding, with the number of pixels that will be in memory. */
  readonly admit?: (pixels: number) => Promise<void>;
}

export const defaultImageLimits: ImageLimits = { maxBytes: 32 * 2 ** 20, maxPixels: 50_000_000 };

/** An input image: the bytes of a file, or decoded pixels. */
export type ImageInput = Uint8Array | PixelImage;

export interface PixelImage extends PictureSize {
  /** uint8 RGB [height, width, 3] */
  readonly pixels: Uint8Array;
}

export type ImageErrorKind = 'empty' | 'unsupported' | 'damaged' | 'too-many-bytes' | 'too-many-pixels';

/** The image cannot be used. The message says what is wrong and what would be right. */
export class ImageError extends Error {
  override readonly name = 'ImageError';

  constructor(
    readonly kind: ImageErrorKind,
    message: string,
  ) {
    super(message);
  }
}

/** An image scaled for a detector, with its tiles and its original size after EXIF orientation. */
export type DetectorImage = PictureSize & ScaledImage;

/**
 * Decodes an image and scales it for a detector: to its square input, ignoring the aspect ratio, or for tiling. Applies
 * EXIF orientation and converts transparency to white, and 16-bit, gray and CMYK images to 8-bit sRGB.
 * @throws ImageError
 */
export async function decodeImage(
  image: ImageInput,
  shape: InputShape,
  limits: ImageLimits & Admission = defaultImageLimits,
): Promise<DetectorImage> {
  const { width: columns, height: rows } = await inspectImage(image, limits);
  const grid = tileGrid({ width: columns, height: rows }, shape);
  const scaled = grid.width * grid.height;
  if (scaled > Math.max(limits.maxPixels, shape.inputSize ** 2)) {
    throw new ImageError(
      'too-many-pixels',
      `the image has ${megapixels(scaled)} at the scale of the detector; at most ${megapixels(limits.maxPixels)} are accepted`,
    );
  }
  await limits.admit?.(Math.max(columns * rows, scaled));
  const { width, height } = grid;
  const scaling = openUpright(image, limits).resize(width, height, { fit: 'fill', kernel: 'cubic' });
  return { width: columns, height: rows, grid, pixels: await rawPixels(scaling) };
}

/** Like {@link decodeImage}, for a file. @throws ImageError with the path in its message. */
export async function decodeNamedImage(
  bytes: Uint8Array,
  path: string,
  shape: InputShape,
): Promise<DetectorImage> {
  return decodeImage(bytes, shape).catch((error: unknown) => {
    if (error instanceof ImageError) throw new ImageError(error.kind, `${path}: ${error.message}`);
    throw error;
  });
}

/**
 * Decodes a mask and scales it with nearest neighbor. @returns one byte for each pixel: 255 if it is brighter than half
 * of white, or than half of the brightest pixel if all are dark (masks of 0 and 1), else 0.
 * @throws ImageError
 */
export async function decodeMask(bytes: Uint8Array, { width, height }: PictureSize): Promise<Uint8Array> {
  await inspectImage(bytes, defaultImageLimits);
  const gray = await openUpright(bytes, defaultImageLimits)
    .resize(width, height, { fit: 'fill', kernel: 'nearest' })
    .toColourspace('b-w')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { channels } = gray.info;
  const values = Uint8Array.from({ length: width * height }, (_, index) => gray.data[index * channels] ?? 0);
  const brightest = values.reduce((most, value) => Math.max(most, value), 0);
  return values.map((value) => (value > Math.min(127, brightest / 2) ? 255 : 0));
}

/**
 * Checks format and limits of an image from its header, without decoding it.
 * @returns its size in pixels, after EXIF orientation.
 * @throws ImageError
 */
export async function inspectImage(image: ImageInput, limits: ImageLimits): Promise<PictureSize> {
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
  const { width, height } = image instanceof Uint8Array ? await fileSize(image) : image;
  if (width * height > limits.maxPixels) {
    throw new ImageError(
      'too-many-pixels',
      `the image has ${width} x ${height} = ${megapixels(width * height)}; at most ${megapixels(limits.maxPixels)} are accepted`,
    );
  }
  return { width, height };
}

/** Reads the size of an image file. @throws ImageError if the format is not supported. */
async function fileSize(bytes: Uint8Array): Promise<PictureSize> {
  const format = formatOf(bytes);
  if (!format) {
    throw new ImageError(
      'unsupported',
      'this is not a JPEG, PNG, WebP or TIFF image; wanted one of these formats',
    );
  }
  return plainSize(bytes, format) ?? (await uprightSize(bytes, format));
}

/** Returns width and height after EXIF orientation, read by libvips. */
async function uprightSize(bytes: Uint8Array, format: ImageFormat): Promise<PictureSize> {
  const metadata = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch((error: unknown) => {
      throw damaged(format, error);
    });
  if (metadata.depth === 'float' || metadata.depth === 'double') {
    throw new ImageError(
      'unsupported',
      `the ${format} has floating-point pixels; wanted integers of 8 or 16 bits`,
    );
  }
  return metadata.autoOrient;
}

function megapixels(count: number): string {
  return `${Math.round(count / 1e5) / 10} megapixels`;
}

/** Opens an image upright, in sRGB without transparency. */
export function openUpright(image: ImageInput, { maxPixels }: ImageLimits): Sharp {
  const opened =
    image instanceof Uint8Array
      ? sharp(image, { limitInputPixels: maxPixels, failOn: 'warning' })
      : sharp(image.pixels, {
          raw: { width: image.width, height: image.height, channels: 3 },
          limitInputPixels: maxPixels,
        });
  return opened.autoOrient().flatten({ background: '#ffffff' }).toColourspace('srgb');
}

async function rawPixels(pipeline: Sharp): Promise<Uint8Array> {
  const { data, info } = await pipeline
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw damaged('image', error);
    });
  if (info.channels === 3) return data;
  throw new ImageError(
    'unsupported',
    `the image decodes to ${info.channels} channels; wanted gray, RGB or CMYK`,
  );
}

function damaged(format: string, error: unknown): ImageError {
  const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  return new ImageError('damaged', `the ${format} is damaged or incomplete: ${reason}`);
}

/** Returns the format from the first bytes, because file names and content types may be wrong. */
function formatOf(bytes: Uint8Array): ImageFormat | undefined {
  const starts = (at: number, ...expected: number[]): boolean =>
    expected.every((byte, index) => bytes[at + index] === byte);
  if (starts(0, 0xff, 0xd8, 0xff)) return 'jpeg';
  if (starts(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'png';
  if (starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50)) return 'webp';
  if (starts(0, 0x49, 0x49, 0x2a, 0x00) || starts(0, 0x4d, 0x4d, 0x00, 0x2a)) return 'tiff';
  return undefined;
}
