/**
 * Images with more than 8 bits per sample. Cameras use 10 or 12 of their 16 bits, and CT values are signed: which values
 * mean black and white is measured on the images that a detector is distilled from, and kept in its manifest.
 */
import sharp from 'sharp';
import { formatOf } from './formats.js';
import { damaged } from './image-error.js';
import { readingOf } from './supported.js';
import { withUnsignedSamples } from './tiff-tags.js';

/** The values that become 0 and 255 of 8 bits; what lies outside is clipped. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** Pixels of an image with 16 bits per sample. */
export interface DeepPixels {
  readonly width: number;
  readonly height: number;
  /** RGB [height, width, 3] */
  readonly samples: Uint16Array | Int16Array;
}

/** Share of the samples that may be clipped before it is told. */
const clippedShare = 0.01;

/** Decodes an image with 16 bits per sample, upright, transparency as white. @throws ImageError */
export async function decodeDeep(bytes: Uint8Array, maxPixels: number): Promise<DeepPixels> {
  const format = formatOf(bytes) ?? 'png';
  const { page, signed } = readingOf(bytes, format);
  const { data, info } = await sharp(signed ? withUnsignedSamples(bytes) : bytes, {
    limitInputPixels: maxPixels,
    failOn: 'warning',
    page,
  })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw damaged(format, error);
    });
  const length = data.length / 2;
  const samples = signed
    ? new Int16Array(data.buffer, data.byteOffset, length)
    : new Uint16Array(data.buffer, data.byteOffset, length);
  return { width: info.width, height: info.height, samples };
}

/** Returns the lowest and the highest value. */
export function rangeOf({ samples }: DeepPixels): ValueRange {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of samples) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/**
 * Scales values to 8 bits.
 * @param range of the detector; without one, the upper 8 bits are used.
 * @returns pixels uint8 RGB, and what a user should know of them.
 */
export function eightBits(
  { samples }: DeepPixels,
  range: ValueRange | undefined,
): { readonly pixels: Uint8Array; readonly warnings: readonly string[] } {
  const signed = samples instanceof Int16Array;
  const least = signed ? -32_768 : 0;
  const table = Uint8Array.from({ length: 65_536 }, (_, at) => scaled(at + least, range));
  const pixels = Uint8Array.from(samples, (value) => table[value - least] as number);
  if (!range) {
    return {
      pixels,
      warnings: ['the image has 16 bits per sample, but the detector has no value range for them'],
    };
  }
  let clipped = 0;
  for (const value of samples) if (value < range.low || value > range.high) clipped++;
  const share = clipped / samples.length;
  const percent = Number((100 * share).toPrecision(2));
  return {
    pixels,
    warnings:
      share > clippedShare
        ? [
            `${percent} % of the image's values lie outside the detector's value range, ${range.low} to ${range.high}`,
          ]
        : [],
  };
}

function scaled(value: number, range: ValueRange | undefined): number {
  if (!range) return Math.max(0, value) >> 8;
  const share = (value - range.low) / (range.high - range.low);
  return Math.round(255 * Math.min(1, Math.max(0, share)));
}

/** Returns whether a range can be used. */
export function isValueRange({ low, high }: ValueRange): boolean {
  const valid = (value: number): boolean => Number.isInteger(value) && value >= -32_768 && value <= 65_535;
  return valid(low) && valid(high) && low < high;
}
