/** Decodes masks of defects, as people draw and tools export them. */
import sharp from 'sharp';
import { formatOf } from './formats.js';
import { damaged } from './image-error.js';
import { defaultImageLimits, inspectImage } from './inspect.js';
import type { PictureSize } from './map.js';
import { readingOf } from './supported.js';

/** Above this a pixel of a lossy mask is a defect: half of white. */
const halfWhite = 0x7fff;

/**
 * Decodes a mask and scales it with nearest neighbor. Every pixel that is not black is a defect, whatever its number;
 * what is transparent is none. If a file has two values and neither is black, the darker one is the background. In a JPEG,
 * whose black is not exact, a pixel is a defect above half of the brightest.
 * @returns one byte for each pixel: 255 for a defect, else 0.
 * @throws ImageError
 */
export async function decodeMask(bytes: Uint8Array, { width, height }: PictureSize): Promise<Uint8Array> {
  await inspectImage(bytes, defaultImageLimits);
  const format = formatOf(bytes);
  const opened = sharp(bytes, { limitInputPixels: defaultImageLimits.maxPixels, failOn: 'warning' })
    .autoOrient()
    .resize(width, height, { fit: 'fill', kernel: 'nearest', fastShrinkOnLoad: false });
  const isFloat = format === 'tiff' && readingOf(bytes, format).deep === 'float';
  const raw = isFloat
    ? opened.raw({ depth: 'float' })
    : opened.toColourspace('rgb16').raw({ depth: 'ushort' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true }).catch((error: unknown) => {
    throw damaged('mask', error);
  });
  const { channels } = info;
  const Samples = isFloat ? Float32Array : Uint16Array;
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
  const isDefect = defectRule(brightness, opaque, format === 'jpeg');
  return Uint8Array.from(brightness, (value, at) => (opaque[at] === 1 && isDefect(value) ? 255 : 0));
}

/** Decides by the values of a mask which of them are defects. */
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
  return values.size === 2 && !opaque.includes(0) ? (value) => value > darkest : (value) => value > 0;
}
