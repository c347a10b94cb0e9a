/** The good photos of a data set, each once, and their value range. */
import { DatasetError, trainingImages } from '../datasets/index.js';
import { significant } from '../files/decimals.js';
import { type DistinctFile, distinctFiles } from '../files/distinct-files.js';
import { isValueRange, type MeasuredRange, rangeOfFile, type ValueRange } from '../imaging/index.js';
import type { ImageFiles } from './cloner-training.js';
import { numbersOf, partsOf } from './groups.js';
import { type DistillOptions, DistillSettingsError } from './settings.js';
import type { WholeRun } from './whole-run.js';

/** Fewer images are not enough to distill and calibrate. */
export const fewestImages = 8;

export interface GoodFiles {
  /** The first of files with the same contents. */
  readonly files: readonly DistinctFile[];
  /** Files left out because they are copies. */
  readonly copies: number;
  /** The part that each image shows, if several show the same. */
  readonly parts?: readonly string[] | undefined;
}

/** Lists each image once: a copy could be learned from and held back at the same time. @throws DatasetError */
export async function goodFiles({
  dataset,
  normalClass,
  groupBy,
  onWarning,
}: DistillOptions): Promise<GoodFiles> {
  const { files, copies } = await distinctPhotos({ dataset, normalClass, groupBy, onWarning });
  checkCount(files.length, copies);
  const parts = await partsOf(
    files.map(({ path }) => path),
    groupBy,
  );
  return { files, copies, parts };
}

/** Lists each photo once, however few there are. @throws DatasetError */
export async function distinctPhotos({
  dataset,
  normalClass,
  groupBy,
  onWarning,
}: Pick<DistillOptions, 'dataset' | 'normalClass' | 'groupBy' | 'onWarning'>): Promise<GoodFiles> {
  const paths = await trainingImages(dataset, normalClass, onWarning, groupBy === 'folder');
  const files = await distinctFiles(paths);
  return { files, copies: paths.length - files.length };
}

/** @throws DatasetError if there are too few images. */
export function checkCount(images: number, copies = 0): void {
  if (images >= fewestImages) return;
  const counted = copies > 0 ? ', copies not counted' : '';
  const few = images === 1 ? '1 image is' : `${images} images are`;
  throw new DatasetError(`${few} too few${counted}; at least ${fewestImages} are needed`);
}

/** @throws DistillSettingsError if they show too few parts. */
export function imageFiles({ files, copies, parts }: GoodFiles): ImageFiles {
  return { paths: files.map(({ path }) => path), copies, groups: parts && numbersOf(parts) };
}

/**
 * Returns the value range of the images with more than 8 bits per sample: the one that was asked for, or from their lowest to
 * their highest value. @throws DistillSettingsError, ImageError
 */
export async function valueRange(
  paths: readonly string[],
  { range: requested, onWarning, onProgress, signal }: DistillOptions,
  run: WholeRun,
): Promise<ValueRange | undefined> {
  if (requested && !isValueRange(requested)) {
    const { low, high } = requested;
    throw new DistillSettingsError(`range ${low}:${high}: must be two numbers, the lower one first`);
  }
  const ranges: MeasuredRange[] = [];
  for (const [done, path] of paths.entries()) {
    signal?.throwIfAborted();
    const progress = { phase: 'read', done, total: paths.length } as const;
    onProgress?.({ ...progress, ...run.update(progress, 0, {}) });
    const range = await rangeOfFile(path);
    if (range) ranges.push(range);
    if (ranges.length > 0 && requested) return requested;
  }
  if (ranges.length === 0) return undefined;
  if (ranges.length < paths.length) {
    onWarning?.(
      `${ranges.length} of the ${paths.length} images have more than 8 bits per sample, the others 8`,
    );
  }
  const all = around(ranges);
  const usual = around(ranges.map((range) => range.usual));
  const widened = marginShare * (usual.high - usual.low);
  const isWhole = Number.isInteger(all.low) && Number.isInteger(all.high);
  const rounded = (value: number): number => (isWhole ? Math.round(value) : significant(value, 6));
  const isSpoiled = all.high - all.low > spoiledTimes * (usual.high - usual.low) && widened > 0;
  const low = isSpoiled ? Math.max(all.low, rounded(usual.low - widened)) : all.low;
  const high = isSpoiled ? Math.min(all.high, rounded(usual.high + widened)) : all.high;
  if (isSpoiled) {
    onWarning?.(
      `nearly all values of the images lie in a small part of ${significant(all.low, 6)} to ${significant(all.high, 6)}; a few pixels may be dead, hot or filled in. ` +
        `The value range is ${low} to ${high}; --range sets another one`,
    );
  }
  if (low < high) return { low: outward(low, -1), high: outward(high, 1) };
  throw new DatasetError(`all images have the same value everywhere, ${low}; wanted photos`);
}

/** A range is spoiled by a few pixels if it is so many times as wide as what nearly all values lie in. */
const spoiledTimes = 4;

/** How much of the usual range is added at both ends: new images may be brighter. */
const marginShare = 0.25;

/** Returns the range that holds all of some ranges. */
function around(ranges: readonly ValueRange[]): ValueRange {
  return {
    low: Math.min(...ranges.map((range) => range.low)),
    high: Math.max(...ranges.map((range) => range.high)),
  };
}

/** Returns the next number in a direction that has six significant digits. */
function outward(value: number, direction: 1 | -1): number {
  if (Number.isInteger(value)) return value;
  const near = significant(value, 6);
  if (direction * near >= direction * value) return near;
  return significant(near + direction * 10 ** (Math.floor(Math.log10(Math.abs(value))) - 5), 6);
}
