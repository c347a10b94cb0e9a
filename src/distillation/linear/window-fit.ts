/**
 * What is usual in windows of good images, wherever they are: one mean and one covariance for all windows. The energy of a
 * window y is y'(S + 0.001 m)^-1 y, with the covariance S and its mean eigenvalue m. Each good image is scored by the
 * windows of other images: the sums of its fold are taken back.
 */
import { highestWindows } from '../../objective/index.js';
import { concatenated } from '../../runtime/index.js';
import type { Products, Rows } from './products.js';

/** Added to each variance, as a share of the mean variance. */
const ridgeShare = 0.001;

/** Of more parts, a quarter is left out at once; of fewer, each alone: which ones are left out together would matter. */
const [folds, mostAlone] = [4, 16];

export interface FittedWindows {
  readonly channels: number;
  /** [C] */
  readonly mean: Float32Array;
  /** [C, C]: the squared length of its product with a centered window is the energy. */
  readonly whitening: Float32Array;
  /** [n]: the mean of the three highest energies of each good image, by other images. */
  readonly leftOut: Float64Array;
}

/** Sums over windows. */
class WindowSums {
  count = 0;
  readonly sums: Float64Array;
  readonly products: Float64Array;

  constructor(readonly channels: number) {
    this.sums = new Float64Array(channels);
    this.products = new Float64Array(channels * channels);
  }

  async add(products: Products, windows: Rows): Promise<void> {
    const { channels, sums } = this;
    this.count += windows.count;
    for (let from = 0; from < windows.data.length; from += channels) {
      for (let at = 0; at < channels; at++) (sums[at] as number) += windows.data[from + at] as number;
    }
    const added = await products.ofColumns(windows, windows);
    addTo(this.products, added, 1);
  }

  /** Adds other sums, or takes them back. */
  addSums(other: WindowSums, sign: 1 | -1): void {
    this.count += sign * other.count;
    addTo(this.sums, other.sums, sign);
    addTo(this.products, other.products, sign);
  }
}

function addTo(sums: Float64Array, others: ArrayLike<number>, sign: 1 | -1): void {
  for (let at = 0; at < sums.length; at++) (sums[at] as number) += sign * (others[at] as number);
}

/** Images whose windows are multiplied at once. */
const blockImages = 32;

/**
 * @param images windows of each image, one after another: [K * K, C].
 * @param channels of each layer; each layer is scaled to the same total variance.
 * @param groups the part that each image shows: images of one part are in one fold.
 */
export async function fitWindows(
  products: Products,
  images: readonly Float32Array[],
  channels: readonly number[],
  groups: readonly number[] = images.map((_, image) => image),
): Promise<FittedWindows> {
  const count = channels.reduce((sum, of) => sum + of, 0);
  const shown = new Map([...new Set(groups)].map((group, index) => [group, index]));
  const length = shown.size > mostAlone ? folds : shown.size;
  const parts = Array.from({ length }, () => new WindowSums(count));
  const inFold = (fold: number): number[] =>
    [...images.keys()].filter((image) => (shown.get(groups[image] as number) as number) % length === fold);
  const blocksOf = (fold: number): number[][] => {
    const own = inFold(fold);
    return Array.from({ length: Math.ceil(own.length / blockImages) }, (_, at) =>
      own.slice(at * blockImages, (at + 1) * blockImages),
    );
  };
  const rowsOf = (block: readonly number[]): Rows => {
    const data = concatenated(block.map((image) => images[image] as Float32Array));
    return { count: data.length / count, data };
  };
  const all = new WindowSums(count);
  for (const [fold, part] of parts.entries()) {
    for (const block of blocksOf(fold)) await part.add(products, rowsOf(block));
    all.addSums(part, 1);
  }
  const scales = scalesOf(all, channels);
  const leftOut = new Float64Array(images.length);
  for (const [fold, part] of parts.entries()) {
    const others = new WindowSums(count);
    others.addSums(all, 1);
    others.addSums(part, -1);
    const usual = whiten(others, scales);
    for (const block of blocksOf(fold)) {
      const found = await highest(products, rowsOf(block), block.length, usual);
      for (const [at, image] of block.entries()) leftOut[image] = found[at] as number;
    }
  }
  const { mean, whitening } = whiten(all, scales);
  return { channels: count, mean, whitening, leftOut };
}

/** Returns the factor of each channel that gives its layer a total variance of 1. */
function scalesOf({ count, sums, products, channels }: WindowSums, layers: readonly number[]): number[] {
  const variance = (channel: number): number =>
    (products[channel * channels + channel] as number) / count - ((sums[channel] as number) / count) ** 2;
  let first = 0;
  return layers.flatMap((size) => {
    const own = Array.from({ length: size }, (_, at) => variance(first + at));
    first += size;
    const total = own.reduce((sum, value) => sum + value, 0);
    return own.map(() => 1 / Math.sqrt(Math.max(total, 1e-12)));
  });
}

interface Whitening {
  readonly mean: Float32Array;
  readonly whitening: Float32Array;
}

/** Returns the mean, and the inverse of the Cholesky factor of the covariance, [C, C], lower triangle. */
function whiten({ count, sums, products, channels }: WindowSums, scales: readonly number[]): Whitening {
  const mean = sums.map((sum) => sum / count);
  const covariance = new Float64Array(channels * channels);
  let trace = 0;
  for (let a = 0; a < channels; a++) {
    for (let b = 0; b <= a; b++) {
      const plain =
        (products[a * channels + b] as number) / count - (mean[a] as number) * (mean[b] as number);
      covariance[a * channels + b] = plain * (scales[a] as number) * (scales[b] as number);
    }
    trace += covariance[a * channels + a] as number;
  }
  const ridge = (ridgeShare * trace) / channels;
  for (let a = 0; a < channels; a++) (covariance[a * channels + a] as number) += ridge;
  factorize(covariance, channels);
  const whitening = inverseOfLower(covariance, channels);
  for (let row = 0; row < channels; row++) {
    for (let column = 0; column <= row; column++) {
      (whitening[row * channels + column] as number) *= scales[column] as number;
    }
  }
  return { mean: Float32Array.from(mean), whitening: Float32Array.from(whitening) };
}

/** Replaces the lower triangle of a positive definite matrix by its Cholesky factor, row by row. */
function factorize(matrix: Float64Array, size: number): void {
  for (let row = 0; row < size; row++) {
    const own = row * size;
    let squares = 0;
    for (let column = 0; column < row; column++) {
      const above = column * size;
      let sum = 0;
      for (let at = 0; at < column; at++)
        sum += (matrix[above + at] as number) * (matrix[own + at] as number);
      const value = ((matrix[own + column] as number) - sum) / (matrix[above + column] as number);
      matrix[own + column] = value;
      squares += value * value;
    }
    matrix[own + row] = Math.sqrt(Math.max((matrix[own + row] as number) - squares, 0));
  }
}

/** Returns the inverse of a lower triangular matrix, row by row. */
function inverseOfLower(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const own = row * size;
    for (let above = 0; above < row; above++) {
      const share = lower[own + above] as number;
      const from = above * size;
      for (let column = 0; column <= above; column++) {
        (inverse[own + column] as number) -= share * (inverse[from + column] as number);
      }
    }
    const diagonal = lower[own + row] as number;
    for (let column = 0; column < row; column++) (inverse[own + column] as number) /= diagonal;
    inverse[own + row] = 1 / diagonal;
  }
  return inverse;
}

/** Returns the mean of the three highest energies of each image's windows. */
async function highest(
  products: Products,
  windows: Rows,
  images: number,
  { mean, whitening }: Whitening,
): Promise<number[]> {
  const channels = mean.length;
  const data = windows.data.map((value, at) => value - (mean[at % channels] as number));
  const whitened = await products.ofRows(
    { count: windows.count, data },
    { count: channels, data: whitening },
  );
  const each = windows.count / images;
  return Array.from({ length: images }, (_, image) => {
    const energies = new Float64Array(each);
    for (let window = 0; window < each; window++) {
      const from = (image * each + window) * channels;
      let energy = 0;
      for (let at = from; at < from + channels; at++) energy += (whitened[at] as number) ** 2;
      energies[window] = energy;
    }
    energies.sort();
    return energies.slice(-highestWindows).reduce((sum, energy) => sum + energy, 0) / highestWindows;
  });
}
