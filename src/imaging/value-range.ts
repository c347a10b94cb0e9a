/**
 * Images with more than 8 bits per sample. Cameras use 10 or 12 of their 16 bits, CT values are signed, and heights and
 * temperatures are floating-point numbers: which values mean black and white is measured on the images that a detector
 * is distilled from, and kept in its manifest.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import sharp from 'sharp';
import { formatOf } from './formats.js';
import { damaged, ImageError } from './image-error.js';
import { readingOf } from './supported.js';
import { withUnsignedSamples } from './tiff-tags.js';

/** The values that become 0 and 255 of 8 bits; what lies outside is clipped. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** Pixels of an image with more than 8 bits per sample. */
export interface DeepPixels {
  readonly width: number;
  readonly height: number;
  /** RGB [height, width, 3] */
  readonly samples: Uint16Array | Int16Array | Float32Array;
  /** Whether 0 is white in the file: the samples are already turned, 65,535 less the file's own values. */
  readonly inverted: boolean;
}

/** The values of an image. */
export interface MeasuredRange extends ValueRange {
  /** What 99.8 % of them lie in: a few pixels may be dead, hot or filled in. */
  readonly usual: ValueRange;
}

/** Share of the samples that may be clipped before it is told. */
const clippedShare = 0.01;

/** Decodes such an image, upright, transparency as white. @throws ImageError */
export async function decodeDeep(bytes: Uint8Array, maxPixels: number): Promise<DeepPixels> {
  const format = formatOf(bytes) ?? 'png';
  const { page, deep, inverted = false } = readingOf(bytes, format);
  const opened = sharp(deep === 'signed' ? withUnsignedSamples(bytes) : bytes, {
    limitInputPixels: maxPixels,
    failOn: 'warning',
    page,
  }).autoOrient();
  // Conversions between color spaces would round floating-point values.
  const raw =
    deep === 'float'
      ? opened.raw({ depth: 'float' })
      : opened.flatten({ background: '#ffffff' }).toColourspace('rgb16').raw({ depth: 'ushort' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true }).catch((error: unknown) => {
    throw damaged(format, error);
  });
  const Samples = deep === 'float' ? Float32Array : deep === 'signed' ? Int16Array : Uint16Array;
  const samples = new Samples(data.buffer, data.byteOffset, data.length / Samples.BYTES_PER_ELEMENT);
  return { width: info.width, height: info.height, samples, inverted };
}

/** Values that stand for no value where a format has none: the least of 16 bits, and the largest of 32. */
function isFiller(value: number, samples: DeepPixels['samples']): boolean {
  if (samples instanceof Float32Array) return !(Math.abs(value) < 3e38);
  return samples instanceof Int16Array && value === -32_768;
}

/** Values that are looked at, and the share of them that may lie outside at each end. */
const mostSampled = 2 ** 16;
const outsideShare = 0.001;

/** Returns the lowest and the highest of the file's own values; what is no number or infinite is left out. */
export function rangeOf({ samples, inverted }: DeepPixels): MeasuredRange {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const every = Math.max(1, Math.floor(samples.length / mostSampled));
  const sampled: number[] = [];
  const isFloat = samples instanceof Float32Array;
  for (let at = 0; at < samples.length; at++) {
    const value = samples[at] as number;
    if (isFloat && isFiller(value, samples)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
    if (at % every === 0 && !isFiller(value, samples)) sampled.push(value);
  }
  const ascending = Float64Array.from(sampled).sort();
  const outside = Math.ceil(outsideShare * ascending.length);
  const usual = {
    low: ascending[outside] ?? low,
    high: ascending[ascending.length - 1 - outside] ?? high,
  };
  return inverted ? { ...turned({ low, high }), usual: turned(usual) } : { low, high, usual };
}

/** Returns a range of an image where 0 is white, for its turned samples, or the other way round. */
function turned({ low, high }: ValueRange): ValueRange {
  return { low: 65_535 - high, high: 65_535 - low };
}

/** Samples that are scaled between two yields to the event loop: a few milliseconds. */
const samplesAtOnce = 2 ** 19;

/**
 * Scales values to 8 bits. What is no number becomes black.
 * @param range of the detector; without one, the upper 8 of 16 bits are used.
 * @returns pixels uint8 RGB, and what a user should know of them.
 * @throws ImageError for floating-point values without a range.
 */
export async function eightBits(
  { samples, inverted }: DeepPixels,
  given: ValueRange | undefined,
): Promise<{ readonly pixels: Uint8Array; readonly warnings: readonly string[] }> {
  const range = given && inverted ? turned(given) : given;
  if (!range && samples instanceof Float32Array) {
    throw new ImageError(
      'unsupported',
      'the TIFF has floating-point pixels, and the detector has no value range for them; distill it from such images',
    );
  }
  const { low, high } = range ?? { low: 0, high: 65_535 };
  const scaled = scaling(samples, range);
  const pixels = new Uint8Array(samples.length);
  let clipped = 0;
  for (let from = 0; from < samples.length; from += samplesAtOnce) {
    const end = Math.min(from + samplesAtOnce, samples.length);
    for (let at = from; at < end; at++) {
      const value = samples[at] as number;
      pixels[at] = scaled(value);
      if (!(value >= low && value <= high)) clipped++;
    }
    await nextTurn();
  }
  if (!range) {
    return {
      pixels,
      warnings: ['the image has 16 bits per sample, but the detector has no value range for them'],
    };
  }
  const share = clipped / samples.length;
  const percent = Number((100 * share).toPrecision(2));
  return {
    pixels,
    warnings:
      share > clippedShare
        ? [
            `${percent} % of the image's values lie outside the detector's value range, ${given?.low} to ${given?.high}`,
          ]
        : [],
  };
}

/** Returns the function from a value to 8 bits; for integers a table is fastest. */
function scaling(samples: DeepPixels['samples'], range: ValueRange | undefined): (value: number) => number {
  if (samples instanceof Float32Array) return (value) => scaledTo8(value, range);
  const least = samples instanceof Int16Array ? -32_768 : 0;
  const table = Uint8Array.from({ length: 65_536 }, (_, at) => scaledTo8(at + least, range));
  return (value) => table[value - least] as number;
}

function scaledTo8(value: number, range: ValueRange | undefined): number {
  if (!range) return Math.max(0, value) >> 8;
  const share = (value - range.low) / (range.high - range.low);
  return Math.round(255 * Math.min(1, Math.max(0, share)));
}

/** Returns whether a range can be used. */
export function isValueRange({ low, high }: ValueRange): boolean {
  return Number.isFinite(low) && Number.isFinite(high) && low < high;
}
