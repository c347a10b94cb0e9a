/**
 * Renders localization maps. All images of a detector use the same color scale, on which good parts stay dark. Colors
 * are computed at the map's own size and then scaled up in sharp's threads.
 */
import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { asSeen } from './decode.js';
import { defaultImageLimits, type ImageInput, type ImageLimits } from './inspect.js';
import type { LocalizationMap, PictureSize } from './map.js';
import { outlinedMap } from './regions.js';
import type { ValueRange } from './value-range.js';

/** Multiples of the threshold where the logarithmic color scale starts and ends; good parts are below 1. */
const darkBelow = 0.5;
const brightAt = 32;

/** Renders the map as a color PNG, black to yellow. `threshold` is the value that good parts stay below. */
export async function renderHeatmap(
  map: LocalizationMap,
  threshold: number,
  to: PictureSize,
): Promise<Buffer> {
  const rgb = Buffer.alloc(map.values.length * 3);
  for (const [index, value] of map.values.entries()) {
    rgb.set(inferno(intensity(value, threshold)), index * 3);
  }
  return upscaled(sharp(rgb, rawImage(map, 3)), to)
    .png({ compressionLevel: 6 })
    .toBuffer();
}

/**
 * Renders a PNG of the image with the heatmap over it, more opaque where it is more anomalous, and the outlines of all
 * anomalous regions.
 */
export async function renderOverlay(
  image: ImageInput,
  map: LocalizationMap,
  threshold: number,
  to: PictureSize,
  limits: ImageLimits = defaultImageLimits,
  range?: ValueRange,
): Promise<Buffer> {
  const rgba = Buffer.alloc(map.values.length * 4);
  for (const [index, value] of map.values.entries()) {
    const strength = intensity(value, threshold);
    rgba.set([...inferno(strength), Math.round(255 * Math.min(0.75, 1.5 * strength))], index * 4);
  }
  const layer = await upscaled(sharp(rgba, rawImage(map, 4)), to)
    .png({ compressionLevel: 1 })
    .toBuffer();
  const base = await asSeen(image, range, limits);
  return sharp(base, { limitInputPixels: limits.maxPixels })
    .composite([{ input: layer }, { input: await outline(map, threshold, to) }])
    .removeAlpha()
    .png({ compressionLevel: 6 })
    .toBuffer();
}

/** Renders a PNG with one channel: 255 inside the regions of {@link findRegions}, else 0. */
export async function renderMask(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Buffer> {
  const mask = await binaryMask(map, threshold, to);
  return sharp(mask, rawPicture(to, 1)).toColourspace('b-w').png({ compressionLevel: 6 }).toBuffer();
}

/** Returns one byte for each pixel, 0 or 255. */
async function binaryMask(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Buffer> {
  const outlined = outlinedMap(map, threshold);
  const gray = Buffer.alloc(map.values.length);
  for (const [index, value] of outlined.values.entries()) {
    gray[index] = Math.min(255, Math.floor(value * 128));
  }
  return upscaled(sharp(gray, rawImage(map, 1)), to)
    .threshold(128)
    .toColourspace('b-w')
    .raw()
    .toBuffer();
}

/** Width of outlines as a share of the picture's shorter side. */
const outlineShare = 1 / 150;

const outlineColor = '#39d2ff';

/** Renders a transparent PNG with a line just inside the border of every region. */
async function outline(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Buffer> {
  const mask = await binaryMask(map, threshold, to);
  const width = Math.max(1, Math.round(Math.min(to.width, to.height) * outlineShare));
  // sharp dilates the dark pixels, so this shrinks the white ones.
  const inner = await sharp(mask, rawPicture(to, 1)).dilate(width).toColourspace('b-w').raw().toBuffer();
  const line = await sharp(mask, rawPicture(to, 1))
    .boolean(inner, 'eor', rawPicture(to, 1))
    .toColourspace('b-w')
    .raw()
    .toBuffer();
  return sharp({ create: { ...to, channels: 3, background: outlineColor }, limitInputPixels: false })
    .joinChannel(line, rawPicture(to, 1))
    .png({ compressionLevel: 1 })
    .toBuffer();
}

function rawPicture(
  { width, height }: PictureSize,
  channels: 1,
): SharpOptions & { raw: { width: number; height: number; channels: 1 } } {
  return { raw: { width, height, channels }, limitInputPixels: false };
}

function rawImage({ width, height }: LocalizationMap, channels: 1 | 3 | 4): SharpOptions {
  return { raw: { width, height, channels } };
}

function upscaled(pipeline: Sharp, { width, height }: PictureSize): Sharp {
  return pipeline.resize(width, height, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
}

/** Returns the position on the color scale, 0..1. */
function intensity(value: number, threshold: number): number {
  const above = Math.log(Math.max(value / threshold, darkBelow) / darkBelow);
  return Math.min(1, above / Math.log(brightAt / darkBelow));
}

/** Nine points of Matplotlib's "inferno", interpolated: perceptually uniform, also for color-blind viewers. */
const infernoPoints = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
] as const;

function inferno(intensityValue: number): [number, number, number] {
  const at = intensityValue * (infernoPoints.length - 1);
  const below = Math.min(Math.floor(at), infernoPoints.length - 2);
  const [from, to] = [infernoPoints[below], infernoPoints[below + 1]] as [
    readonly number[],
    readonly number[],
  ];
  return [0, 1, 2].map((channel) => {
    const start = from[channel] as number;
    return Math.round(start + (at - below) * ((to[channel] as number) - start));
  }) as [number, number, number];
}
