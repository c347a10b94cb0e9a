/**
 * Which images the cloner is trained on, and in what order. The seed determines all of it, so resuming a run needs no
 * state.
 */
import type { TileGrid } from '../../imaging/index.js';
import { randomStream, shuffled } from '../../random/random.js';
import type { Recipe } from '../recipe.js';

/** Squares to cut from tiled images: the total, and the most per image. */
const squaresInAll = 2048;
const mostSquares = 64;

/** Epochs between two averaged states, if there are many (MKD, section 4). */
const paperAverageEvery = 10;

/** Minimum number of averaged states, if there are enough epochs. */
const averagedStates = 10;

/** Share of the good images that is held back. */
const heldBackShare = 0.15;

/** The settings of a recipe that are used here. */
export type CurriculumSettings = Pick<Recipe, 'batch' | 'epochs' | 'tiling'>;

/** Which files are held back: a share of them, one fold, or none. */
export type HoldBack = 'share' | 'none' | { readonly fold: number; readonly of: number };

export class Curriculum {
  /** Files that are used for thresholds, not for training. */
  readonly heldBackFiles: readonly number[];
  /** Squares cut from them, the same number from each file; the whole image without tiling. */
  readonly heldBack: readonly number[];
  /** Squares cut from all other files, for training. */
  readonly training: readonly number[];
  /** Squares cut from each file. */
  readonly squares: number;
  /** Passes through all training images. */
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  /** Epochs between two averaged states. */
  readonly averageEvery: number;
  #order: { readonly epoch: number; readonly images: readonly number[] } | undefined;

  /**
   * @param files number of good images.
   * @param groups the part that each shows; by default each shows another.
   */
  constructor(
    files: number,
    private readonly recipe: CurriculumSettings,
    private readonly seed: number,
    holdBack: HoldBack = 'share',
    groups: readonly number[] = range(0, files),
  ) {
    // Photos of one part are held back together: otherwise the cloner knows the part.
    const parts = [...new Set(groups)];
    const isHeldBack = heldBackPlaces(parts.length, holdBack);
    const places = shuffled(parts.length, randomStream(seed, 'held back'));
    const order = places.flatMap((part, place) =>
      groups.flatMap((group, file) =>
        group === parts[part] ? [{ file, isHeldBack: isHeldBack(place) }] : [],
      ),
    );
    this.squares = recipe.tiling ? Math.ceil(Math.min(mostSquares, squaresInAll / files)) : 1;
    // One square of every file, then the next of every file: the first ones are from as many files as possible.
    const squaresOf = (list: readonly number[]): number[] =>
      range(0, this.squares).flatMap((square) => list.map((file) => file * this.squares + square));
    this.heldBackFiles = order.filter((of) => of.isHeldBack).map(({ file }) => file);
    this.heldBack = squaresOf(this.heldBackFiles);
    this.training = squaresOf(order.filter((of) => !of.isHeldBack).map(({ file }) => file));
    this.epochs = recipe.epochs;
    this.stepsPerEpoch = Math.ceil(this.training.length / recipe.batch);
    const enough = Math.floor(this.epochs / (2 * averagedStates));
    this.averageEvery = Math.min(paperAverageEvery, Math.max(1, enough));
  }

  /** Returns the corners of the squares to cut from a file's image: random, edges as likely as the inside. */
  corners(file: number, { width, height, tile }: TileGrid): (readonly [number, number])[] {
    const random = randomStream(this.seed, `squares ${file}`);
    const size = tile.width;
    const along = (side: number): number => {
      const margin = Math.min(size / 4, side - size);
      const at = Math.round(random() * (side - size + 2 * margin) - margin);
      return Math.min(side - size, Math.max(0, at));
    };
    return Array.from({ length: this.squares }, () => [along(width), along(height)] as const);
  }

  /** Total number of steps. */
  get steps(): number {
    return this.epochs * this.stepsPerEpoch;
  }

  /** Returns whether the weights after an epoch, from 0, are averaged: in the last half, including the last epoch. */
  isAveraged(epoch: number): boolean {
    return epoch >= this.epochs / 2 && (this.epochs - 1 - epoch) % this.averageEvery === 0;
  }

  /** Returns the images of a step, counted from 0. */
  batch(step: number): number[] {
    const first = (step % this.stepsPerEpoch) * this.recipe.batch;
    return this.#epochOrder(Math.floor(step / this.stepsPerEpoch)).slice(first, first + this.recipe.batch);
  }

  /** Returns the order of an epoch; each epoch has its own. */
  #epochOrder(epoch: number): readonly number[] {
    if (this.#order?.epoch !== epoch) {
      const places = shuffled(this.training.length, randomStream(this.seed, `epoch ${epoch}`));
      this.#order = { epoch, images: places.map((place) => this.training[place] as number) };
    }
    return this.#order.images;
  }
}

/** Returns how many photos are needed so that so many are held back. */
export function photosToHoldBack(count: number): number {
  let photos = count;
  while (Math.round(heldBackShare * photos) < count) photos++;
  return photos;
}

/** Returns which places in the order of the files are held back. */
function heldBackPlaces(files: number, holdBack: HoldBack): (place: number) => boolean {
  if (holdBack === 'none') return () => false;
  if (holdBack !== 'share') return (place) => place % holdBack.of === holdBack.fold;
  const count = Math.max(2, Math.round(heldBackShare * files));
  return (place) => place < count;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
