/** Says how photos that are far from square would keep their shape. */
import { readFile } from 'node:fs/promises';
import { areaOf, defaultImageLimits, inspectImage, type PictureSize } from '../../imaging/index.js';
import { type DistillOptions, stepOfSize } from '../settings.js';
import { spread } from './features.js';

/** Photos that are looked at. */
const fewPhotos = 5;

/** Ratio of the sides from which it is told. */
const farFromSquare = 1.5;

/** Warns if photos are squeezed to a square that need not be one. @param usual input size. */
export async function hintAtShape(
  paths: readonly string[],
  { inputSize, tileScale, fit, onWarning }: DistillOptions,
  usual: number,
): Promise<void> {
  if (inputSize !== undefined || tileScale !== undefined || fit !== undefined) return;
  const sizes = await Promise.all(
    spread(paths.length, fewPhotos).map(async (at) =>
      inspectImage(await readFile(paths[at] as string), defaultImageLimits).catch(() => undefined),
    ),
  );
  const ratios = sizes.flatMap((size) => (size ? [size.width / size.height] : [])).sort((a, b) => a - b);
  const ratio = ratios[Math.floor(ratios.length / 2)] ?? 1;
  if (Math.max(ratio, 1 / ratio) < farFromSquare) return;
  const { width, height } = suitableSize(ratio, usual);
  const shape =
    ratio > 1
      ? `${ratio.toFixed(1)} times as wide as high`
      : `${(1 / ratio).toFixed(1)} times as high as wide`;
  onWarning?.(
    `the photos are ${shape} and are squeezed to a square; --size ${width}x${height} keeps their shape`,
  );
}

/** Returns the size of that shape with about as many pixels as the usual square. */
function suitableSize(ratio: number, usual: number): PictureSize {
  const side = (length: number): number => Math.max(2, Math.round(length / stepOfSize)) * stepOfSize;
  const height = Math.sqrt(areaOf(usual) / ratio);
  return { width: side(height * ratio), height: side(height) };
}
