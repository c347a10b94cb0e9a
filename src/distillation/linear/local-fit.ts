/** What positions of good images have in common, in closed form: principal components of local features. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Share of the variance that the components explain. */
const explainedShare = 0.99;

/** Lower bound of a channel's deviation, as a share of the mean deviation: noise is not amplified. */
const leastDeviationShare = 0.05;

/** Sums over good images; more images add to them. */
export class LocalSums {
  readonly #sums: Float64Array;
  readonly #products: Float64Array;
  #count = 0;

  constructor(private readonly channels: number) {
    this.#sums = new Float64Array(channels);
    this.#products = new Float64Array(channels * channels);
  }

  /** Adds an image. @param mean [C] of its positions. @param products [C, C], their mean. */
  add(mean: Float32Array, products: Float32Array): void {
    for (const [at, value] of mean.entries()) (this.#sums[at] as number) += value;
    for (const [at, value] of products.entries()) (this.#products[at] as number) += value;
    this.#count++;
  }

  /** @returns mean and 1 / deviation [C] of the channels, and the components [K, C] of standardized features. */
  fit(most: number): {
    readonly mean: Float32Array;
    readonly inverseDeviation: Float32Array;
    readonly basis: Float32Array;
    readonly components: number;
  } {
    const { channels } = this;
    const mean = this.#sums.map((sum) => sum / this.#count);
    const covariance = (a: number, b: number): number =>
      (this.#products[a * channels + b] as number) / this.#count - (mean[a] as number) * (mean[b] as number);
    const deviations = Float64Array.from(mean, (_, channel) =>
      Math.sqrt(Math.max(covariance(channel, channel), 0)),
    );
    const least = (leastDeviationShare * deviations.reduce((sum, value) => sum + value, 0)) / channels;
    const inverse = deviations.map((deviation) => 1 / Math.max(deviation, least, Number.EPSILON));
    const standardized = Matrix.zeros(channels, channels);
    for (let a = 0; a < channels; a++) {
      for (let b = 0; b < channels; b++) {
        standardized.set(a, b, covariance(a, b) * (inverse[a] as number) * (inverse[b] as number));
      }
    }
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(standardized, {
      assumeSymmetric: true,
    });
    const order = [...realEigenvalues.keys()].sort(
      (a, b) => (realEigenvalues[b] as number) - (realEigenvalues[a] as number),
    );
    const total = realEigenvalues.reduce((sum, value) => sum + Math.max(value, 0), 0);
    const chosen: number[] = [];
    let explained = 0;
    for (const at of order) {
      if (chosen.length >= most || explained >= explainedShare * total) break;
      chosen.push(at);
      explained += realEigenvalues[at] as number;
    }
    const basis = new Float32Array(chosen.length * channels);
    for (const [row, at] of chosen.entries()) {
      for (let channel = 0; channel < channels; channel++) {
        basis[row * channels + channel] = eigenvectorMatrix.get(channel, at);
      }
    }
    return {
      mean: Float32Array.from(mean),
      inverseDeviation: Float32Array.from(inverse),
      basis,
      components: chosen.length,
    };
  }
}
