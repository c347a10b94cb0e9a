/** Decodes masks of defects, as people draw and tools export them. */
import sharp from 'sharp';
import { formatOf } from './formats.js';
import { damaged } from './image-error.js';
import { defaultImageLimits, inspect } from './inspect.js';
import type { PictureSize } from './map.js';
import { grayPng } from './png-chunks.js';
import type { FileReading } from './supported.js';
import { withGraySamples, withUnsignedSamples } from './tiff-tags.js';

/** Above this a pixel of a lossy mask is a defect: half of white. */
const halfWhite = 0x7fff;

export interface Mask {
  /** One byte for each pixel: 255 for a defect, else 0. */
  readonly marks: Uint8Array;
  /** What a user should know of the file. */
  readonly warnings: readonly string[];
}

/** Checks a mask from its header. @returns its size in pixels, after EXIF orientation. @throws ImageError */
export async function inspectMask(bytes: Uint8Array): Promise<PictureSize> {
  const { width, height } = await inspect(bytes, defaultImageLimits, 'mask');
  return { width, height };
}

/**
 * Decodes a mask and scales it with nearest neighbor. Every pixel that is not black is a defect, whatever its number, below 0 too;
 * what is transparent is none. Where nothing is black, the first color of a palette is the background, or the darker one of two
 * values. In a TIFF whose 0 is white, what is not 0 is a defect. In a JPEG, whose black is not exact, a pixel is a defect above
 * half of the brightest.
 * @throws ImageError
 */
export async function decodeMask(bytes: Uint8Array, size: PictureSize): Promise<Mask> {
  const { reading } = await inspect(bytes, defaultImageLimits, 'mask');
  const format = formatOf(bytes);
  if (reading.inverted) {
    const marks = marksOf(await samplesOf(withGraySamples(bytes), size, reading), false);
    const share = marks.filter((mark) => mark > 0).length / marks.length;
    const warning = `in this TIFF 0 is white; what is not 0 counts as a defect, ${Math.round(100 * share)} % of the mask`;
    return { marks, warnings: share > 0.5 ? [warning] : [] };
  }
  const signed = reading.deep === 'signed';
  const samples = await samplesOf(signed ? withUnsignedSamples(bytes) : bytes, size, reading);
  const numbered = reading.palette && !samples.brightness.includes(0) && !samples.opaque.includes(0);
  if (!numbered) return { marks: marksOf(samples, format === 'jpeg'), warnings: [] };
  const gray = format === 'png' ? grayPng(bytes) : withGraySamples(bytes);
  const { brightness } = await samplesOf(gray, size, reading);
  return { marks: brightness.includes(0) ? marked(brightness) : marksOf(samples, false), warnings: [] };
}

/** Marks what is not 0. */
function marked(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => (value === 0 ? 0 : 255));
}

interface MaskSamples {
  /** The highest sample of each pixel. */
  readonly brightness: Float32Array;
  /** 1 where the pixel can be seen. */
  readonly opaque: Uint8Array;
}

async function samplesOf(
  bytes: Uint8Array,
  { width, height }: PictureSize,
  { numbers = false, page }: FileReading,
): Promise<MaskSamples> {
  const opened = sharp(bytes, { limitInputPixels: defaultImageLimits.maxPixels, failOn: 'warning', page })
    .autoOrient()
    .resize(width, height, { fit: 'fill', kernel: 'nearest', fastShrinkOnLoad: false });
  const raw = numbers
    ? opened.raw({ depth: 'float' })
    : opened.toColourspace('rgb16').raw({ depth: 'ushort' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true }).catch((error: unknown) => {
    throw damaged('mask', error);
  });
  const { channels } = info;
  const Samples = numbers ? Float32Array : Uint16Array;
  const samples = new Samples(data.buffer, data.byteOffset, data.length / Samples.BYTES_PER_ELEMENT);
  const transparent = channels === 4 || channels === 2;
  const colors = transparent ? channels - 1 : channels;
  const brightness = new Float32Array(width * height);
  const opaque = new Uint8Array(width * height).fill(1);
  for (let at = 0; at < brightness.length; at++) {
    const pixel = samples.subarray(at * channels, (at + 1) * channels);
    brightness[at] = Math.max(...pixel.subarray(0, colors));
    if (transparent && (pixel[colors] as number) <= halfWhite) opaque[at] = 0;
  }
  return { brightness, opaque };
}

/** Decides by the values of a mask which of them are defects. */
function marksOf({ brightness, opaque }: MaskSamples, lossy: boolean): Uint8Array {
  const isDefect = defectRule(brightness, opaque, lossy);
  return Uint8Array.from(brightness, (value, at) => (opaque[at] === 1 && isDefect(value) ? 255 : 0));
}

function defectRule(
  brightness: Float32Array,
  opaque: Uint8Array,
  lossy: boolean,
): (value: number) => boolean {
  const brightest = brightness.reduce((most, value) => Math.max(most, value), 0);
  if (lossy) return (value) => value > Math.min(halfWhite, brightest / 2);
  // Drawn in black on a transparent ground.
  if (brightest === 0 && opaque.includes(0)) return () => true;
  const values = new Set<number>();
  for (const value of brightness) {
    values.add(value);
    if (values.size > 2) break;
  }
  const darkest = Math.min(...values);
  const hasGround = values.has(0) || opaque.includes(0);
  return values.size === 2 && !hasGround ? (value) => value > darkest : (value) => value !== 0;
}
