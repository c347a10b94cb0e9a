/** Options of a distillation, and their validation. */
import {
  type Fit,
  type InputShape,
  type InputSize,
  sidesOf,
  type Tiling,
  type ValueRange,
} from '../imaging/index.js';
import type { DeviceOptions } from '../runtime/index.js';
import { paperRecipe, type Recipe, type RecipeName } from './recipe.js';

export interface DistillOptions {
  /** An MVTec tree or a folder of good images. */
  readonly dataset: string;
  /** Class of the good images, in a tree with a folder for each class; default `good`. */
  readonly normalClass?: string | undefined;
  /** Folder of the new detector. */
  readonly out: string;
  readonly recipe?: RecipeName | undefined;
  /** Size of the detector's input in pixels, multiples of 32 from 32 to 1024: the side of a square or, with the linear recipe, width and height. */
  readonly inputSize?: InputSize | undefined;
  readonly epochs?: number | undefined;
  readonly batch?: number | undefined;
  /** Cuts images into tiles: pixels of the scaled image per pixel of the original, above 0 and at most 4. */
  readonly tileScale?: number | undefined;
  /** With the linear recipe, without tiles: how an image that is not square becomes one; default `stretch`. */
  readonly fit?: Fit | undefined;
  /** With the linear recipe: a file with the region of interest, a mask or polygons; outside of it nothing counts. */
  readonly regionOfInterest?: string | undefined;
  /** Values of images with 16 bits per sample that become black and white; by default their lowest and highest. */
  readonly range?: ValueRange | undefined;
  /** Averages weights over the last half of the epochs, every tenth from 200 epochs, as in the paper. */
  readonly average?: boolean | undefined;
  /**
   * Cross-fitting: number of folds, each scored by a cloner trained on the others. The detector's cloner is then
   * trained on all images. By default a share of the images is held back instead.
   */
  readonly folds?: number | undefined;
  /**
   * Which part a photo shows: a regular expression of file names (its first group, or the whole match, is the part), `folder`,
   * or a .csv file of file names and parts. Photos of one part are left out together wherever photos are held back or scored
   * by others.
   */
  readonly groupBy?: string | undefined;
  /** With the linear recipe: leaves out good images that the others do not explain. They are named in any case. */
  readonly dropDoubtful?: boolean | undefined;
  /** With the linear recipe: keeps the photos beside the detector, as it sees them, so that others can be added; default true. */
  readonly keepPhotos?: boolean | undefined;
  /** Weight of the value discrepancy relative to the direction discrepancy, at least 0. */
  readonly lambda?: number | undefined;
  /** Seed of all random numbers; default 0. */
  readonly seed?: number | undefined;
  /** Continues from the checkpoint of an interrupted run. */
  readonly resume?: boolean | undefined;
  /** Path of another expert's card, or the name of an embedded one; by default EfficientNet-lite2, with the paper recipe VGG-16. */
  readonly expertCard?: string | undefined;
  /** Share of new good images that may lie above the threshold; by default 0.05, or the lowest possible. */
  readonly falseAlarmRate?: number | undefined;
  readonly device?: DeviceOptions | undefined;
  /** With the paper recipe: how much of images and activations is kept in memory; default 2 GiB. */
  readonly memoryBytes?: number | undefined;
  /** Aborting leaves a checkpoint and rejects with `DistillationInterrupted`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: DistillProgress) => void;
  /**
   * Called with what a user should know of a file: it was repaired, or only a part of it is used. The topic is set if
   * {@link onDoubtful} tells the same.
   */
  readonly onWarning?: ((message: string, topic?: 'doubtful') => void) | undefined;
  /** With the linear recipe: called with the good photos that the others do not explain, the most doubtful first. */
  readonly onDoubtful?: (photos: readonly DoubtfulPhoto[]) => void;
}

export interface DoubtfulPhoto {
  /** Path of its file. */
  readonly name: string;
  /** By the other photos. */
  readonly score: number;
}

export interface DistillProgress {
  /**
   * `read` looks at the files, `expert` runs the expert on the images, `distill` trains a cloner, `scale` measures the spread of the
   * score's terms. `distill` counts steps, the others count images.
   */
  readonly phase: 'read' | 'expert' | 'distill' | 'scale' | 'calibrate';
  /** From 1, while the cloner of a fold is trained. */
  readonly fold?: number;
  readonly done: number;
  readonly total: number;
  readonly epoch?: number;
  /** Loss of the last step. */
  readonly loss?: number;
  /** Last computed loss on the images held back. */
  readonly heldBackLoss?: number;
  /** Share of the whole run that is done, over all phases and folds, 0 to 1. */
  readonly share: number;
  /** Estimated time until the detector is written; undefined until something has been measured. */
  readonly secondsLeft?: number | undefined;
}

/** One phase, without the whole. */
export type PhaseProgress = Omit<DistillProgress, 'share' | 'secondsLeft'>;

/** A setting is invalid; the message names it. */
export class DistillSettingsError extends Error {
  override readonly name = 'DistillSettingsError';
}

/** Sides are multiples of it: five poolings halve them. */
export const stepOfSize = 32;

/** Returns whether a side works; above 1024 pixels activations exceed memory. */
export function isInputSize(size: number): boolean {
  return Number.isInteger(size) && size % stepOfSize === 0 && size >= stepOfSize && size <= 1024;
}

/** Returns whether images can be cut into tiles at this scale. */
export function isTileScale(scale: number): boolean {
  return scale > 0 && scale <= 4;
}

/** Settings that only a cloner has that is trained. */
const trainedOnly = [
  'epochs',
  'batch',
  'average',
  'folds',
  'lambda',
  'resume',
  'memoryBytes',
] as const satisfies readonly (keyof DistillOptions)[];

/** Settings that only a linear cloner has. */
const linearOnly = [
  'fit',
  'regionOfInterest',
  'dropDoubtful',
  'keepPhotos',
] as const satisfies readonly (keyof DistillOptions)[];

/** Windows are three positions of stride 16 wide. */
const smallestLinear = 64;

/**
 * Returns the input of a linear cloner.
 * @param usual its input size unless another one is asked for.
 * @throws DistillSettingsError naming a setting that is invalid, or that only other recipes have.
 */
export function linearInput(options: DistillOptions, usual: number): InputShape {
  const other = trainedOnly.find((name) => options[name] !== undefined && options[name] !== false);
  if (other) {
    throw new DistillSettingsError(
      `${other}: the linear recipe has no such setting; leave it out, or take the paper recipe`,
    );
  }
  const { inputSize = usual } = options;
  const { width, height } = sidesOf(inputSize);
  if ([width, height].every((side) => isInputSize(side) && side >= smallestLinear)) {
    return { inputSize, tiling: tilingOf(options, inputSize), fit: fitOf(options) };
  }
  throw new DistillSettingsError(
    `size ${named(inputSize)}: must be a multiple of 32 from ${smallestLinear} to 1024 with the linear recipe, or two of them`,
  );
}

/** @throws DistillSettingsError if images are cut into tiles, which keep their aspect ratio. */
function fitOf({ fit, tileScale }: DistillOptions): Fit | undefined {
  if (fit === undefined || fit === 'stretch') return undefined;
  if (tileScale === undefined) return fit;
  throw new DistillSettingsError(
    `fit ${fit}: tiles keep the aspect ratio of images; leave out one of the two`,
  );
}

/** @throws DistillSettingsError */
function tilingOf({ tileScale: scale }: DistillOptions, inputSize: InputSize): Tiling | undefined {
  if (scale === undefined) return undefined;
  if (isTileScale(scale)) return { scale, overlap: Math.min(...Object.values(sidesOf(inputSize))) / 4 };
  throw new DistillSettingsError(`tileScale ${scale}: must be a number above 0 and at most 4`);
}

function named(size: InputSize): string {
  return typeof size === 'number' ? String(size) : `${size.width}x${size.height}`;
}

/** Returns the paper's recipe with the options applied. @throws DistillSettingsError naming the invalid setting. */
export function applyOptions(options: DistillOptions): Recipe {
  const recipe = paperRecipe;
  // To keep photos is what no one has to ask for.
  const other = linearOnly.find((setting) =>
    setting === 'keepPhotos' ? options[setting] === false : options[setting] !== undefined,
  );
  if (other) {
    throw new DistillSettingsError(
      `${other}: the paper recipe has no such setting; leave it out, or take the linear recipe`,
    );
  }
  const { inputSize = recipe.inputSize, epochs = recipe.epochs, batch = recipe.batch } = options;
  if (typeof inputSize !== 'number' || !isInputSize(inputSize)) {
    throw new DistillSettingsError(
      typeof inputSize === 'number'
        ? `size ${inputSize}: must be a multiple of 32 from 32 to 1024`
        : `size ${named(inputSize)}: the paper recipe takes squares only, such as ${recipe.inputSize}`,
    );
  }
  if (!Number.isInteger(epochs) || epochs < 1) {
    throw new DistillSettingsError(`epochs ${epochs}: must be a whole number of at least 1`);
  }
  if (!Number.isInteger(batch) || batch < 2) {
    throw new DistillSettingsError(
      `batch ${batch}: must be a whole number of at least 2, for batch normalization`,
    );
  }
  const { lambda = recipe.lambda, average = recipe.average } = options;
  if (!(lambda >= 0 && Number.isFinite(lambda))) {
    throw new DistillSettingsError(`lambda ${lambda}: must be a number of at least 0`);
  }
  const settled = { ...recipe, inputSize, epochs, batch, average, lambda };
  const tiling = tilingOf(options, inputSize);
  return tiling ? { ...settled, tiling } : settled;
}
