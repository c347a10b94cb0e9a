/**
 * Pictures of localization maps. Maps of all images are drawn on one scale, that of the detector: what good
 * parts reach stays dark. Colors are chosen at the map's own size and scaled up afterwards, in sharp's threads.
 */
import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { defaultImageLimits, type ImageInput, type ImageLimits, seenImage } from './decode.js';
import type { LocalizationMap, PictureSize } from './map.js';
import { outlinedMap } from './regions.js';

/** Multiples of the threshold at which colors begin and end, in even steps of its logarithm; good parts lie below 1. */
const darkBelow = 0.5;
const brightAt = 32;

/** PNG of the map in color, black to yellow. `threshold` is the value good parts stay below. */
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
 * PNG of the image with the heatmap laid over it, the more opaque the more anomalous, and the outline of every
 * anomalous region.
 */
export async function renderOverlay(
  image: ImageInput,
  map: LocalizationMap,
  threshold: number,
  to: PictureSize,
  limits: ImageLimits = defaultImageLimits,
): Promise<Buffer> {
  const rgba = Buffer.alloc(map.values.length * 4);
  for (const [index, value] of map.values.entries()) {
    const strength = intensity(value, threshold);
    rgba.set([...inferno(strength), Math.round(255 * Math.min(0.75, 1.5 * strength))], index * 4);
  }
  const layer = await upscaled(sharp(rgba, rawImage(map, 4)), to)
    .png({ compressionLevel: 1 })
    .toBuffer();
  const base = await seenImage(image, limits).png({ compressionLevel: 0 }).toBuffer();
  return sharp(base, { limitInputPixels: limits.maxPixels })
    .composite([{ input: layer }, { input: await outline(map, threshold, to) }])
    .removeAlpha()
    .png({ compressionLevel: 6 })
    .toBuffer();
}

/** PNG of one channel: 255 inside of what {@link findRegions} finds, else 0. */
export async function renderMask(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Buffer> {
  const mask = await binaryMask(map, threshold, to);
  return sharp(mask, rawPicture(to, 1)).toColourspace('b-w').png({ compressionLevel: 6 }).toBuffer();
}

/** One byte a pixel, 0 or 255. */
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

/** Lines around regions are this part of the picture's shorter side. */
const outlineShare = 1 / 150;

const outlineColor = '#39d2ff';

/** PNG with transparency: a line just inside the border of every region. */
async function outline(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Buffer> {
  const mask = await binaryMask(map, threshold, to);
  const width = Math.max(1, Math.round(Math.min(to.width, to.height) * outlineShare));
  // To sharp the dark is the object: its dilation shrinks what is white.
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

/** 0..1 on the scale of the detector. */
function intensity(value: number, threshold: number): number {
  const above = Math.log(Math.max(value / threshold, darkBelow) / darkBelow);
  return Math.min(1, above / Math.log(brightAt / darkBelow));
}

/** Matplotlib's "inferno" at nine points, interpolated: even steps of lightness, also for the color-blind. */
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
