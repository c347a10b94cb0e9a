/** What a distillation can be told, and what is refused. */
import type { DeviceOptions } from '../runtime/index.js';
import { type Recipe, type RecipeName, recipeByName } from './recipe.js';

export interface DistillOptions {
  /** An MVTec tree or a folder of good images. */
  readonly dataset: string;
  /** The class that is good, in a tree with a folder for each class; default `good`. */
  readonly normalClass?: string | undefined;
  /** Folder of the detector to write. */
  readonly out: string;
  readonly recipe?: RecipeName | undefined;
  /** Side of the detector's input in pixels, a multiple of 32 from 32 to 1024. */
  readonly inputSize?: number | undefined;
  readonly epochs?: number | undefined;
  readonly batch?: number | undefined;
  /** Cuts images into tiles: pixels of the scaled image for a pixel of the original, above 0 and at most 4. */
  readonly tileScale?: number | undefined;
  /** Variants of the images are made until there are so many to learn from; 0 makes none. */
  readonly augmentTo?: number | undefined;
  /** Averages the weights of epochs in the last half, every tenth where there are 200 or more, as the paper does. */
  readonly average?: boolean | undefined;
  /**
   * Calibrates with every image, each scored by a cloner that has not learned from it: so many folds, a cloner each, and
   * then one that learns from all. By default a share of the images is held back instead.
   */
  readonly folds?: number | undefined;
  /** Weight of the value discrepancy beside the direction discrepancy, at least 0. */
  readonly lambda?: number | undefined;
  /** Determines everything random; default 0. */
  readonly seed?: number | undefined;
  /** Continue from the checkpoint an interrupted run left. */
  readonly resume?: boolean | undefined;
  /** Path of another expert's card. */
  readonly expertCard?: string | undefined;
  /** Share of new good images that may lie above the threshold; by default 0.05, or the least there can be. */
  readonly falseAlarmRate?: number | undefined;
  readonly device?: DeviceOptions | undefined;
  /** How much of the expert's activations stays in memory; default 2 GiB. */
  readonly memoryBytes?: number | undefined;
  /** Aborting leaves a checkpoint and rejects with `DistillationInterrupted`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: DistillProgress) => void;
}

export interface DistillProgress {
  /**
   * `expert` is what the expert makes of the images, `neighbors` those that others are held against, `scale` how far the
   * terms of the score spread; `distill` counts steps, the others images.
   */
  readonly phase: 'expert' | 'distill' | 'neighbors' | 'scale' | 'calibrate';
  /** Counted from 1, while the cloner of a fold is distilled. */
  readonly fold?: number;
  readonly done: number;
  readonly total: number;
  readonly epoch?: number;
  /** Loss of the last step. */
  readonly loss?: number;
  /** Loss on the images held back, when last computed. */
  readonly heldBackLoss?: number;
}

/** A setting that cannot work. */
export class DistillSettingsError extends Error {
  override readonly name = 'DistillSettingsError';
}

/** Five poolings halve the input; beyond 1024 pixels activations no longer fit into memory. */
export function isInputSize(size: number): boolean {
  return Number.isInteger(size) && size % 32 === 0 && size >= 32 && size <= 1024;
}

/** Whether images can be cut into tiles at this share of their own size. */
export function isTileScale(scale: number): boolean {
  return scale > 0 && scale <= 4;
}

/** The recipe with what the options change. @throws DistillSettingsError naming the wrong setting. */
export function settle(options: DistillOptions): Recipe {
  const recipe = recipeByName(options.recipe ?? 'default');
  const { inputSize = recipe.inputSize, epochs = recipe.epochs, batch = recipe.batch } = options;
  if (!isInputSize(inputSize)) {
    throw new DistillSettingsError(`size ${inputSize}: wanted a multiple of 32 from 32 to 1024`);
  }
  if (typeof epochs === 'number' && (!Number.isInteger(epochs) || epochs < 1)) {
    throw new DistillSettingsError(`epochs ${epochs}: wanted a whole number from 1`);
  }
  if (!Number.isInteger(batch) || batch < 2) {
    throw new DistillSettingsError(`batch ${batch}: wanted a whole number from 2, for batch normalization`);
  }
  const { augmentTo = recipe.made?.leastImages ?? 0, average = recipe.average } = options;
  if (!Number.isInteger(augmentTo) || augmentTo < 0) {
    throw new DistillSettingsError(`augmentTo ${augmentTo}: wanted a whole number from 0`);
  }
  const { lambda = recipe.lambda } = options;
  if (!(lambda >= 0 && Number.isFinite(lambda))) {
    throw new DistillSettingsError(`lambda ${lambda}: wanted a number from 0`);
  }
  const made = { defects: 0, ...recipe.made, leastImages: augmentTo };
  const settled = { ...recipe, inputSize, epochs, batch, made, average, lambda };
  const { tileScale: scale } = options;
  if (scale === undefined) return settled;
  if (!isTileScale(scale)) {
    throw new DistillSettingsError(`tileScale ${scale}: wanted a number above 0 and at most 4`);
  }
  return { ...settled, tiling: { scale, overlap: inputSize / 4 } };
}
