/** Says what the input costs: photos that lose their shape or their detail, and regions that do not fit them. */
import { readFile } from 'node:fs/promises';
import {
  areaOf,
  defaultImageLimits,
  type InputShape,
  inspectImage,
  type OnWarning,
  type PictureSize,
  type RegionOfInterest,
  shareInside,
  sidesOf,
  tileCount,
  tileGrid,
} from '../../imaging/index.js';
import { type DistillOptions, stepOfSize } from '../settings.js';
import { spread } from './features.js';

/** Photos that are looked at. */
const fewPhotos = 5;

/** Ratio of the shapes of photo and input from which the photo's is lost. */
const farFromSquare = 1.5;

/** Pixels of the photo for one of the input, from which its detail is lost. */
const coarse = 4;

/** Warns if photos are squeezed or shrunk so much that other settings would see more. */
export async function hintAtInput(
  paths: readonly string[],
  { inputSize: asked, fit, onWarning }: DistillOptions,
  { inputSize, tiling, region }: InputShape,
): Promise<void> {
  const photo = onWarning && (await middleSize(paths));
  if (!photo) return;
  if (region) hintAtRegion(region, photo, onWarning);
  if (tiling) return;
  const input = sidesOf(inputSize);
  const ratio = photo.width / photo.height;
  const squeezed = ratio / (input.width / input.height);
  if (fit === undefined && Math.max(squeezed, 1 / squeezed) >= farFromSquare) {
    const { width, height } = suitableSize(ratio, areaOf(inputSize));
    const shape = shapeOf(ratio);
    const into = asked === undefined ? 'a square' : `${input.width} x ${input.height}`;
    onWarning(
      `the photos are ${shape} and are squeezed to ${into}; --size ${width}x${height} keeps their shape`,
    );
  }
  const [across, down] = [photo.width / input.width, photo.height / input.height];
  if (Math.min(across, down) < coarse) return;
  // Half of what is lost.
  const scale = Number((2 / Math.min(across, down)).toPrecision(1));
  const overlap = Math.min(input.width, input.height) / 4;
  const tiles = tileCount(tileGrid(photo, { inputSize, tiling: { scale, overlap } }));
  onWarning(
    `one pixel of the input covers ${Math.round(across)} x ${Math.round(down)} of the photos, so defects narrower than about ` +
      `${2 * Math.round(Math.min(across, down))} pixels may be missed; --tile-scale ${scale} sees finer ones, in ${tiles} tiles an image`,
  );
}

function shapeOf(ratio: number): string {
  if (Math.abs(Math.log(ratio)) < Math.log(1.05)) return 'square';
  return ratio > 1
    ? `${ratio.toFixed(1)} times as wide as high`
    : `${(1 / ratio).toFixed(1)} times as high as wide`;
}

/** Ratio of the shapes of a region and of a photo that rounding explains. */
const sameShape = 1.02;

function hintAtRegion(region: RegionOfInterest, photo: PictureSize, onWarning: OnWarning): void {
  if (shareInside(region) === 1) onWarning('all of the image is inside the region of interest');
  const ratio = region.width / region.height / (photo.width / photo.height);
  if (Math.max(ratio, 1 / ratio) <= sameShape) return;
  onWarning(
    `the region of interest has another shape than the photos (${photo.width} x ${photo.height}), and is stretched to them`,
  );
}

/** Returns the size of a photo of middle shape among a few; undefined if none can be read. */
async function middleSize(paths: readonly string[]): Promise<PictureSize | undefined> {
  const sizes = await Promise.all(
    spread(paths.length, fewPhotos).map(async (at) =>
      inspectImage(await readFile(paths[at] as string), defaultImageLimits).catch(() => undefined),
    ),
  );
  const known = sizes
    .filter((size) => size !== undefined)
    .sort((a, b) => a.width / a.height - b.width / b.height);
  return known[Math.floor(known.length / 2)];
}

/** Returns the size of that shape with about so many pixels. */
function suitableSize(ratio: number, area: number): PictureSize {
  const side = (length: number): number => Math.max(2, Math.round(length / stepOfSize)) * stepOfSize;
  const height = Math.sqrt(area / ratio);
  return { width: side(height * ratio), height: side(height) };
}
