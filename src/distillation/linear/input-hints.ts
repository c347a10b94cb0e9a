/** Says what the input costs: photos that lose their shape or their detail, and regions that do not fit them. */
import { readFile } from 'node:fs/promises';
import {
  areaOf,
  asSeen,
  contrastLost,
  defaultImageLimits,
  type InputShape,
  type InputSize,
  inspectImage,
  type OnWarning,
  type PictureSize,
  type RegionOfInterest,
  shareInside,
  sidesOf,
  tileCount,
  tileGrid,
} from '../../imaging/index.js';
import { type DistillOptions, isInputSize, stepOfSize } from '../settings.js';
import { spread } from './features.js';

/** Photos that are looked at. */
const fewPhotos = 5;

/** Ratio of the shapes of photo and input from which the photo's is lost. */
const farFromSquare = 1.5;

/** Warns if photos are squeezed or shrunk so much that other settings would see more. */
export async function hintAtInput(
  paths: readonly string[],
  { inputSize: asked, fit, onWarning }: DistillOptions,
  { inputSize, tiling, region }: InputShape,
): Promise<void> {
  if (!onWarning) return;
  const files = await Promise.all(spread(paths.length, fewPhotos).map((at) => readFile(paths[at] as string)));
  const photo = await middleSize(files);
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
  await hintAtDetail(files, photo, inputSize, onWarning);
}

/** Says what larger inputs and tiles would keep of the photos, measured on a few of them. */
async function hintAtDetail(
  files: readonly Uint8Array[],
  photo: PictureSize,
  inputSize: InputSize,
  onWarning: OnWarning,
): Promise<void> {
  const input = sidesOf(inputSize);
  const scaleOf = ({ width, height }: PictureSize): number =>
    Math.min(width / photo.width, height / photo.height);
  const own = scaleOf(input);
  if (own > 1 / fineEnough) return;
  // Twice as fine, and no finer than the photos.
  const tileScale = Math.min(1, Number((2 * own).toPrecision(1)));
  const larger = [1.5, 2]
    .map((times) => times * Math.min(input.width, input.height))
    .filter(
      (side) =>
        typeof inputSize === 'number' && isInputSize(side) && scaleOf({ width: side, height: side }) <= 1,
    );
  const scales = [own, ...larger.map((side) => scaleOf({ width: side, height: side })), tileScale];
  const lost = await meanLost(files, scales);
  const [atInput = 0, ...others] = lost.map((share) => Math.round(100 * share));
  if (atInput < leastLost) return;
  const overlap = Math.min(input.width, input.height) / 4;
  const tiles = tileCount(tileGrid(photo, { inputSize, tiling: { scale: tileScale, overlap } }));
  const instead = [
    ...larger.map((side, at) => `--size ${side} loses ${others[at]} %`),
    `--tile-scale ${tileScale}, in ${tiles} tiles an image, ${others[larger.length]} %`,
  ];
  onWarning(
    `at ${input.width} x ${input.height} pixels ${atInput} % of the photos' contrast is lost, and with it defects as fine; ${instead.join(', ')}`,
  );
}

/** Pixels of the photo for one of the input, up to which next to nothing is lost. */
const fineEnough = 1.2;

/** Percent of the contrast that is worth a word. */
const leastLost = 5;

/** Returns the share of the contrast that a few photos lose on average, for each scale. */
async function meanLost(files: readonly Uint8Array[], scales: readonly number[]): Promise<number[]> {
  const lost = await Promise.all(
    files.map(async (file) => {
      const seen = await asSeen(file, undefined, defaultImageLimits).catch(() => undefined);
      return seen ? [await contrastLost(seen, scales)] : [];
    }),
  );
  const known = lost.flat();
  return scales.map(
    (_, at) => known.reduce((sum, shares) => sum + (shares[at] as number), 0) / Math.max(1, known.length),
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
async function middleSize(files: readonly Uint8Array[]): Promise<PictureSize | undefined> {
  const sizes = await Promise.all(
    files.map((file) => inspectImage(file, defaultImageLimits).catch(() => undefined)),
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
