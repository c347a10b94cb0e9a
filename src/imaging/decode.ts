/**
 * Decodes images to a detector's input, the same way for distillation and serving. Only JPEG, PNG, WebP and TIFF within
 * the limits on bytes and pixels reach a decoder.
 */
import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { formatOf } from './formats.js';
import { damaged, ImageError } from './image-error.js';
import {
  decodedPixels,
  defaultImageLimits,
  type ImageInput,
  type ImageLimits,
  inspect,
  megapixels,
} from './inspect.js';
import { blockFault } from './jpeg-blocks.js';
import { repairedJpeg } from './jpeg-repair.js';
import { hasAllScans } from './jpeg-scans.js';
import { areaOf, type PictureSize } from './map.js';
import { blankOutside } from './region-of-interest.js';
import { type FileReading, readingOf, unreadCompression } from './supported.js';
import { type InputShape, type ScaledImage, type TileGrid, tileGrid } from './tiles.js';
import { decodeDeep, eightBits, type MeasuredRange, rangeOf, type ValueRange } from './value-range.js';

/** Admission control for decoding. */
export interface Admission {
  /** Awaited before decoding, with the number of pixels that will be in memory. */
  readonly admit?: (pixels: number) => Promise<void>;
}

/** An image scaled for a detector, with its tiles and its original size after EXIF orientation. */
export type DetectorImage = PictureSize &
  ScaledImage & {
    /** What a user should know of the file: it was repaired, or only a part of it is used. */
    readonly warnings: readonly string[];
    /** Gives the memory of the pixels back, if it is used again; nobody may read them any more. */
    readonly release?: () => void;
  };

/**
 * Decodes an image and scales it for a detector: to its square input, ignoring the aspect ratio, or for tiling. Applies
 * EXIF orientation and converts transparency to white, and 16-bit, gray and CMYK images to 8-bit sRGB. A JPEG whose
 * faults cost no pixels is repaired. The same pixels give the same result, whatever file holds them.
 * @throws ImageError
 */
export async function decodeImage(
  image: ImageInput,
  shape: InputShape,
  limits: ImageLimits & Admission = defaultImageLimits,
): Promise<DetectorImage> {
  let admitted = false;
  const admit = async (pixels: number): Promise<void> => {
    if (!admitted) await limits.admit?.(pixels);
    admitted = true;
  };
  const { result, faults } = await repairing(image, (one) =>
    decodeStrictly(one, shape, { ...limits, admit }),
  );
  if (faults.length === 0) return result;
  const repair = `the JPEG was repaired, no pixel is lost: ${faults.join(', ')}`;
  return { ...result, warnings: [...result.warnings, repair] };
}

/** Does something with an image; if it is a damaged JPEG that can be repaired, with what it becomes. */
async function repairing<Result>(
  image: ImageInput,
  work: (image: ImageInput) => Promise<Result>,
): Promise<{ readonly result: Result; readonly faults: readonly string[] }> {
  try {
    return { result: await work(image), faults: [] };
  } catch (error) {
    const damaged = error instanceof ImageError && error.kind === 'damaged';
    const repaired =
      damaged && image instanceof Uint8Array && formatOf(image) === 'jpeg' ? repairedJpeg(image) : undefined;
    if (!repaired) throw error;
    return { result: await work(repaired.bytes), faults: repaired.faults };
  }
}

/**
 * Returns how many pixels {@link decodeImage} will hold, from the header alone.
 * @throws ImageError if the image cannot be decoded.
 */
export async function pixelsToDecode(
  image: ImageInput,
  shape: InputShape,
  limits: ImageLimits,
): Promise<number> {
  const { result } = await repairing(image, (one) => planOf(one, shape, limits));
  return result.pixels;
}

/** How an image will be decoded. */
interface DecodingPlan extends PictureSize {
  readonly reading: FileReading;
  readonly grid: TileGrid;
  /** What is held meanwhile. */
  readonly pixels: number;
}

/** How many 8-bit pixels need the memory of one deep pixel: its samples, and the pixel that it becomes. */
const deepPixelCost = 3;

async function planOf(image: ImageInput, shape: InputShape, limits: ImageLimits): Promise<DecodingPlan> {
  const { width, height, reading } = await inspect(image, limits);
  const grid = tileGrid({ width, height }, shape);
  const scaled = grid.width * grid.height;
  if (scaled > Math.max(limits.maxPixels, areaOf(shape.inputSize))) {
    throw new ImageError(
      'too-many-pixels',
      `the image has ${megapixels(scaled)} at the scale of the detector; at most ${megapixels(limits.maxPixels)} are accepted`,
    );
  }
  // Deep samples are held beside the pixels that they become.
  const held = width * height * (reading.deep ? deepPixelCost : 1);
  return { width, height, reading, grid, pixels: Math.max(held, scaled) };
}

/** Decodes an image; whatever its decoder warns of is an error. */
async function decodeStrictly(
  image: ImageInput,
  shape: InputShape,
  limits: ImageLimits & Admission,
): Promise<DetectorImage> {
  const { width, height, reading, grid, pixels: held } = await planOf(image, shape, limits);
  await limits.admit?.(held);
  const { opened, warnings } = await openEightBits(image, reading, shape.range, limits, 'warning');
  // JPEG and WebP could be scaled while they are read, but by another kernel: scores would differ from those of a PNG.
  // What is cut out first, even if it is all of it, is read in full.
  const { from, to } = grid.placement ?? {
    from: { x: 0, y: 0, width, height },
    to: { x: 0, y: 0, width: grid.width, height: grid.height },
  };
  const full = opened.extract({ left: from.x, top: from.y, width: from.width, height: from.height });
  const scaling = full.resize(to.width, to.height, { fit: 'fill', kernel: 'cubic' }).extend({
    left: to.x,
    right: grid.width - to.x - to.width,
    top: to.y,
    bottom: grid.height - to.y - to.height,
  });
  const pixels = await rawPixels(scaling, reading);
  blankOutside(pixels, grid, shape.region);
  await checkComplete(image);
  return { width, height, grid, pixels, warnings: [...reading.warnings, ...warnings] };
}

/** @throws ImageError if rows or scans of a JPEG are missing, or too many: libvips makes up for them, and does not say so. */
async function checkComplete(image: ImageInput): Promise<void> {
  if (!(image instanceof Uint8Array) || formatOf(image) !== 'jpeg') return;
  if (!hasAllScans(image)) {
    throw new ImageError(
      'damaged',
      'the JPEG is incomplete: it is progressive, and its last scans are missing',
    );
  }
  const fault = await blockFault(image);
  if (fault !== undefined) throw new ImageError('damaged', `the JPEG is damaged or incomplete: ${fault}`);
}

/** Called with what a user should know of a file or data set. */
export type OnWarning = (message: string) => void;

/**
 * Like {@link decodeImage}, for a file.
 * @param onWarning receives the image's warnings, with the path.
 * @throws ImageError with the path in its message.
 */
export async function decodeNamedImage(
  bytes: Uint8Array,
  path: string,
  shape: InputShape,
  onWarning?: OnWarning,
): Promise<DetectorImage> {
  const image = await named(path, () => decodeImage(bytes, shape));
  for (const warning of image.warnings) onWarning?.(`${path}: ${warning}`);
  return image;
}

/** Does something with a file, and names it in errors. @throws ImageError with the path in its message. */
export async function named<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  return work().catch((error: unknown) => {
    if (error instanceof ImageError) throw new ImageError(error.kind, `${path}: ${error.message}`);
    throw error;
  });
}

/**
 * Opens an image upright, in sRGB without transparency.
 * @param failOn what is an error; by default everything that the decoder warns of.
 */
function openUpright(
  image: ImageInput,
  { maxPixels }: ImageLimits,
  failOn: 'none' | 'warning' = 'warning',
): Sharp {
  const opened =
    image instanceof Uint8Array
      ? sharp(image, { limitInputPixels: maxPixels, failOn, page: readingOfInput(image).page })
      : sharp(image.pixels, {
          raw: { width: image.width, height: image.height, channels: 3 },
          limitInputPixels: maxPixels,
        });
  return opened.autoOrient().flatten({ background: '#ffffff' }).toColourspace('srgb');
}

/** Returns how an image is decoded, without asking libvips. */
function readingOfInput(image: ImageInput): FileReading {
  const format = image instanceof Uint8Array ? formatOf(image) : undefined;
  return format === undefined ? decodedPixels : readingOf(image as Uint8Array, format);
}

/** Opens an image with 8 bits per sample, by the value range if it has more. @throws ImageError */
async function openEightBits(
  image: ImageInput,
  { deep }: FileReading,
  range: ValueRange | undefined,
  limits: ImageLimits,
  failOn: 'none' | 'warning',
): Promise<{ readonly opened: Sharp; readonly warnings: readonly string[] }> {
  if (!deep) {
    return {
      opened: openUpright(image, limits, failOn),
      warnings: range ? [shallow(range)] : [],
    };
  }
  const decoded = await decodeDeep(image as Uint8Array, limits.maxPixels);
  const { width, height } = decoded;
  const { pixels, warnings } = await eightBits(decoded, range);
  return { opened: openUpright({ width, height, pixels }, limits), warnings };
}

function shallow({ low, high }: ValueRange): string {
  return (
    `the image has 8 bits per sample, but the detector was made from images with more, whose values ${low} to ${high} become ` +
    'black to white; the score holds only if this image was scaled in the same way'
  );
}

async function rawPixels(pipeline: Sharp, { compression }: FileReading): Promise<Uint8Array> {
  const { data, info } = await pipeline
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw (compression && unreadCompression(compression, error)) ?? damaged('image', error);
    });
  if (info.channels === 3) return data;
  throw new ImageError(
    'unsupported',
    `the image decodes to ${info.channels} channels; wanted gray, RGB or CMYK`,
  );
}

/**
 * Returns the lowest and highest value of a file with more than 8 bits per sample; undefined if it has 8.
 * @throws ImageError with the path in its message.
 */
export async function rangeOfFile(path: string): Promise<MeasuredRange | undefined> {
  const bytes = await readFile(path);
  return named(path, async () => {
    const { reading } = await inspect(bytes, defaultImageLimits);
    return reading.deep ? rangeOf(await decodeDeep(bytes, defaultImageLimits.maxPixels)) : undefined;
  });
}

/** Returns an image as people see it, as PNG: with 8 bits per sample, by the value range if it has more. @throws ImageError */
export async function asSeen(
  image: ImageInput,
  range: ValueRange | undefined,
  limits: ImageLimits,
): Promise<Buffer> {
  // What its decoder warns of was judged when it was scored.
  const { opened } = await openEightBits(image, readingOfInput(image), range, limits, 'none');
  return opened.png({ compressionLevel: 0 }).toBuffer();
}
