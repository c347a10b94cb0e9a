/**
 * What is usual in windows of good images, wherever they are: one mean and one covariance for all windows. The energy of a
 * window y is y'(S + 0.001 m)^-1 y, with the covariance S and its mean eigenvalue m. Each good image is scored by the
 * windows of other images: four folds, whose sums are taken back.
 */
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { highestWindows } from '../../objective/index.js';

/** Added to each variance, as a share of the mean variance. */
const ridgeShare = 0.001;

const folds = 4;

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

  add(windows: Float32Array): void {
    const { channels, sums, products } = this;
    for (let from = 0; from < windows.length; from += channels) {
      this.count++;
      for (let a = 0; a < channels; a++) {
        const value = windows[from + a] as number;
        (sums[a] as number) += value;
        // The lower triangle is enough.
        for (let b = 0, at = a * channels; b <= a; b++, at++) {
          (products[at] as number) += value * (windows[from + b] as number);
        }
      }
    }
  }

  /** Adds other sums, or takes them back. */
  addSums(other: WindowSums, sign: 1 | -1): void {
    this.count += sign * other.count;
    for (const [at, value] of other.sums.entries()) (this.sums[at] as number) += sign * value;
    for (const [at, value] of other.products.entries()) (this.products[at] as number) += sign * value;
  }
}

/**
 * @param images windows of each image, one after another: [K * K, C].
 * @param channels of each layer; each layer is scaled to the same total variance.
 * @param groups the part that each image shows: images of one part are in one fold.
 */
export function fitWindows(
  images: readonly Float32Array[],
  channels: readonly number[],
  groups: readonly number[] = images.map((_, image) => image),
): FittedWindows {
  const count = channels.reduce((sum, of) => sum + of, 0);
  const parts = Array.from({ length: Math.min(folds, images.length) }, () => new WindowSums(count));
  const foldOf = (image: number): number => (groups[image] as number) % parts.length;
  for (const [image, windows] of images.entries()) (parts[foldOf(image)] as WindowSums).add(windows);
  const all = new WindowSums(count);
  for (const part of parts) all.addSums(part, 1);
  const scales = scalesOf(all, channels);
  const leftOut = new Float64Array(images.length);
  for (const [fold, part] of parts.entries()) {
    const others = new WindowSums(count);
    others.addSums(all, 1);
    others.addSums(part, -1);
    const { mean, whitening } = whiten(others, scales);
    for (const [image, windows] of images.entries()) {
      if (foldOf(image) === fold) leftOut[image] = highest(windows, mean, whitening);
    }
  }
  const { mean, whitening } = whiten(all, scales);
  return { channels: count, mean: Float32Array.from(mean), whitening: Float32Array.from(whitening), leftOut };
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

/** Returns the mean, and the inverse of the Cholesky factor of the covariance, [C, C], lower triangle. */
function whiten(
  { count, sums, products, channels }: WindowSums,
  scales: readonly number[],
): { readonly mean: Float64Array; readonly whitening: Float64Array } {
  const mean = sums.map((sum) => sum / count);
  const covariance = Matrix.zeros(channels, channels);
  for (let a = 0; a < channels; a++) {
    for (let b = 0; b <= a; b++) {
      const plain =
        (products[a * channels + b] as number) / count - (mean[a] as number) * (mean[b] as number);
      const value = plain * (scales[a] as number) * (scales[b] as number);
      covariance.set(a, b, value);
      covariance.set(b, a, value);
    }
  }
  const ridge = (ridgeShare * covariance.trace()) / channels;
  for (let a = 0; a < channels; a++) covariance.set(a, a, covariance.get(a, a) + ridge);
  const whitening = inverseOfLower(new CholeskyDecomposition(covariance).lowerTriangularMatrix);
  for (let row = 0; row < channels; row++) {
    for (let column = 0; column <= row; column++) {
      (whitening[row * channels + column] as number) *= scales[column] as number;
    }
  }
  return { mean, whitening };
}

/** Returns the inverse of a lower triangular matrix, row by row. */
function inverseOfLower(lower: Matrix): Float64Array {
  const size = lower.rows;
  const inverse = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const own = lower.getRow(row);
    const target = inverse.subarray(row * size, (row + 1) * size);
    for (let above = 0; above < row; above++) {
      const share = own[above] as number;
      for (let column = 0, at = above * size; column <= above; column++, at++) {
        (target[column] as number) -= share * (inverse[at] as number);
      }
    }
    const diagonal = own[row] as number;
    for (let column = 0; column < row; column++) (target[column] as number) /= diagonal;
    target[row] = 1 / diagonal;
  }
  return inverse;
}

/** Returns the mean of the three highest energies of an image's windows. */
function highest(windows: Float32Array, mean: Float64Array, whitening: Float64Array): number {
  const channels = mean.length;
  const energies: number[] = [];
  const centered = new Float64Array(channels);
  for (let from = 0; from < windows.length; from += channels) {
    for (let at = 0; at < channels; at++) {
      centered[at] = (windows[from + at] as number) - (mean[at] as number);
    }
    let energy = 0;
    for (let row = 0; row < channels; row++) {
      let sum = 0;
      for (let column = 0, at = row * channels; column <= row; column++, at++) {
        sum += (whitening[at] as number) * (centered[column] as number);
      }
      energy += sum * sum;
    }
    energies.push(energy);
  }
  energies.sort((a, b) => b - a);
  return energies.slice(0, highestWindows).reduce((sum, energy) => sum + energy, 0) / highestWindows;
}
