/**
 * Which images the cloner learns from, and in what order: good ones, variants of them where they are few, and good
 * ones with a defect made on them. All of it follows from the seed, so a run that resumes needs no state.
 */
import { drawVariation, type TileGrid, vary } from '../../imaging/index.js';
import { normal, randomStream, shuffled } from '../../random/random.js';
import type { Recipe } from '../recipe.js';
import { makeDefect } from './made-defects.js';
import type { ImageMaker } from './training-set.js';

/** Squares to cut from tiled images: so many in all, but not more from each. */
const squaresInAll = 2048;
const mostSquares = 64;

/** Epochs between two states that are averaged, where there are many (MKD, section 4). */
const paperAverageEvery = 10;

/** States to average at least, where there are epochs enough. */
const averagedStates = 10;

/** Part of the good images that is held back. */
const heldBackShare = 0.15;

/** What of a recipe decides. */
export type CurriculumSettings = Pick<Recipe, 'batch' | 'epochs' | 'inputSize' | 'made' | 'tiling'>;

/** Which files are held back: a share of them, every one of a fold, or none. */
export type HoldBack = 'share' | 'none' | { readonly fold: number; readonly of: number };

export class Curriculum {
  /** Files that are not learned from, but give thresholds. */
  readonly heldBackFiles: readonly number[];
  /** Squares cut from them: from each file as many, the whole image where it is not cut. */
  readonly heldBack: readonly number[];
  /** Squares cut from all other files, which are learned from. */
  readonly trained: readonly number[];
  /** Squares cut from each file. */
  readonly squares: number;
  /** What is made from those learned from, variants and then defects; indices follow those of all squares. */
  readonly makers: readonly (readonly ImageMaker[])[];
  /** Times through all good images. */
  readonly epochs: number;
  readonly stepsAnEpoch: number;
  /** Images with a made defect in each batch. */
  readonly batchDefects: number;
  /** Epochs between two states that are averaged, where they are. */
  readonly averageEvery: number;
  /** What is learned from and has no made defect: squares first, then variants of them. */
  readonly good: readonly number[];
  readonly #defective: readonly number[];
  #order: { epoch: number; good: readonly number[]; defective: readonly number[] } | undefined;

  /** @param files number of good images. */
  constructor(
    files: number,
    private readonly recipe: CurriculumSettings,
    private readonly seed: number,
    holdBack: HoldBack = 'share',
  ) {
    const order = shuffled(files, randomStream(seed, 'held back'));
    const heldBack = heldBackPlaces(files, holdBack);
    this.squares = recipe.tiling ? Math.ceil(Math.min(mostSquares, squaresInAll / files)) : 1;
    // One square of every file, then another of every file: the first of them are of as many files as can be.
    const squaresOf = (list: readonly number[]): number[] =>
      range(0, this.squares).flatMap((square) => list.map((file) => file * this.squares + square));
    this.heldBackFiles = order.filter((_, place) => heldBack(place));
    this.heldBack = squaresOf(this.heldBackFiles);
    this.trained = squaresOf(order.filter((_, place) => !heldBack(place)));
    const read = files * this.squares;
    const { batch, made, epochs } = recipe;
    const variants = made ? Math.max(0, made.leastImages - this.trained.length) : 0;
    const good = this.trained.length + variants;
    const defects = made ? Math.round(made.defects * good) : 0;
    this.makers = [
      Array.from({ length: variants }, (_, index) => this.#variant(index)),
      Array.from({ length: defects }, (_, index) => this.#defect(index)),
    ];
    this.good = [...this.trained, ...range(read, variants)];
    this.#defective = range(read + variants, defects);
    this.batchDefects = defects > 0 ? Math.max(1, Math.round((batch * defects) / (good + defects))) : 0;
    this.epochs =
      typeof epochs === 'number' ? epochs : Math.max(epochs.least, Math.round(epochs.images / good));
    this.stepsAnEpoch = Math.ceil(good / (batch - this.batchDefects));
    const enough = Math.floor(this.epochs / (2 * averagedStates));
    this.averageEvery = Math.min(paperAverageEvery, Math.max(1, enough));
  }

  /** Where squares are cut out of a file's image; anywhere, its edges as often as what lies inside. */
  corners(file: number, { width, height, size }: TileGrid): (readonly [number, number])[] {
    const random = randomStream(this.seed, `squares ${file}`);
    const along = (side: number): number => {
      const margin = Math.min(size / 4, side - size);
      const at = Math.round(random() * (side - size + 2 * margin) - margin);
      return Math.min(side - size, Math.max(0, at));
    };
    return Array.from({ length: this.squares }, () => [along(width), along(height)] as const);
  }

  /** Steps in all. */
  get steps(): number {
    return this.epochs * this.stepsAnEpoch;
  }

  /** Whether the weights after an epoch, counted from 0, go into the average: of the last half, the last among them. */
  isAveraged(epoch: number): boolean {
    return epoch >= this.epochs / 2 && (this.epochs - 1 - epoch) % this.averageEvery === 0;
  }

  /** The images of a step, counted from 0. */
  batch(step: number): number[] {
    const { good, defective } = this.#epochOrder(Math.floor(step / this.stepsAnEpoch));
    const part = (order: readonly number[], size: number): number[] => {
      const first = (step % this.stepsAnEpoch) * size;
      return order.slice(first, first + size);
    };
    const defects = part(defective, this.batchDefects);
    return [...part(good, this.recipe.batch - this.batchDefects), ...defects];
  }

  /** Every epoch has an order of its own. */
  #epochOrder(epoch: number): { good: readonly number[]; defective: readonly number[] } {
    if (this.#order?.epoch !== epoch) {
      const random = randomStream(this.seed, `epoch ${epoch}`);
      const ordered = (images: readonly number[]): number[] =>
        shuffled(images.length, random).map((index) => images[index] as number);
      const good = ordered(this.good);
      const defective = ordered(this.#defective);
      this.#order = { epoch, good, defective: [...defective, ...defective] };
    }
    return this.#order as { good: readonly number[]; defective: readonly number[] };
  }

  /** The file that a good image was cut from, or made of. */
  fileOf(good: number): number {
    const place = this.good.indexOf(good);
    return Math.floor(this.#original(place) / this.squares);
  }

  /** The square that a good image is, or is a variant of: by its place among the good ones, or among the variants. */
  #original(place: number): number {
    return this.trained[place % this.trained.length] as number;
  }

  #variant(index: number): ImageMaker {
    const of = this.#original(index);
    return async (image) => {
      const random = randomStream(this.seed, `variant ${index}`);
      const pixels = await image(of);
      return {
        pixels: await vary(
          pixels,
          this.recipe.inputSize,
          drawVariation(() => normal(random)),
        ),
      };
    };
  }

  #defect(index: number): ImageMaker {
    return async (image) => {
      const random = randomStream(this.seed, `defect ${index}`);
      const any = (): number => this.good[Math.floor(random() * this.good.length)] as number;
      const [pixels, other] = [await image(any()), await image(any())];
      return makeDefect(pixels, other, this.recipe.inputSize, random);
    };
  }
}

/** Which places in the order of the files are held back. */
function heldBackPlaces(files: number, holdBack: HoldBack): (place: number) => boolean {
  if (holdBack === 'none') return () => false;
  if (holdBack !== 'share') return (place) => place % holdBack.of === holdBack.fold;
  const count = Math.max(2, Math.round(heldBackShare * files));
  return (place) => place < count;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
