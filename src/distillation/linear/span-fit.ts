/**
 * A span in closed form. The good images' vectors, less their mean, are the rows of Z; with the ridge rho and the weight c
 * of the mean, A = (Z Z' + rho I + c 1 1')^-1. What is left of a new vector z is
 * z'z + c - (Z z + c)' A (Z z + c), and of a good image by all others 1 / A_ii - rho, exactly, without fitting again; of
 * the images I of one part, by all other parts, the diagonal of (A_II)^-1, less rho.
 * All of it follows from the eigenvalues of Z Z'.
 */
import { EigenvalueDecomposition, inverse as inverseOf, Matrix } from 'ml-matrix';

/** Ridge and weight of the mean, as shares of the mean eigenvalue. */
const ridgeShare = 0.01;
const centerShare = 30;

/** Smaller eigenvalues, as shares of the largest, are rounding. */
const smallestEigenvalue = 1e-9;

export interface FittedSpan {
  /** [D] */
  readonly mean: Float32Array;
  /** [D, K], orthonormal columns. */
  readonly basis: Float32Array;
  /** [K] */
  readonly kept: Float32Array;
  readonly rest: number;
  readonly ridge: number;
  /** [n]: what is left of each good image by all others. */
  readonly leftOut: Float64Array;
  /** [n]: the same, as a share of its distance from the mean. */
  readonly unexplained: Float64Array;
  /** [n]: how much longer what the kept directions leave of a good image is if it does not count itself. */
  readonly stretch: Float64Array;
}

/**
 * Fits a span.
 * @param images their vectors, [n, D], at least two different ones.
 * @param components directions to keep at most.
 * @param groups the part that each image shows: images of one part are left out together.
 */
export function fitSpan(
  images: readonly Float32Array[],
  components: number,
  groups: readonly number[] = images.map((_, image) => image),
): FittedSpan {
  const count = images.length;
  const { mean, vectors } = centered(images);
  const gram = gramOf(vectors);
  const trace = gram.trace();
  const ridge = (ridgeShare * trace) / count;
  const center = (centerShare * trace) / count;
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const leftOut = new Float64Array(count);
  const unexplained = new Float64Array(count);
  // (Z Z' + rho I)^-1 has the constant vector as an eigenvector, because Z is centered (Sherman and Morrison).
  const ofMean = center / (ridge * ridge + center * count * ridge);
  const inverse = (a: number, b: number): number =>
    realEigenvalues.reduce(
      (sum, eigenvalue, at) =>
        sum +
        (eigenvectorMatrix.get(a, at) * eigenvectorMatrix.get(b, at)) / (Math.max(eigenvalue, 0) + ridge),
      -ofMean,
    );
  for (const part of new Set(groups)) {
    const images = [...groups.keys()].filter((image) => groups[image] === part);
    const own = inverseOf(new Matrix(images.map((a) => images.map((b) => inverse(a, b)))));
    for (const [at, image] of images.entries()) {
      leftOut[image] = own.get(at, at) - ridge;
      unexplained[image] = (leftOut[image] as number) / gram.get(image, image);
    }
  }
  const largest = Math.max(...realEigenvalues);
  const order = realEigenvalues
    .map((eigenvalue, at) => ({ eigenvalue, at }))
    .filter(({ eigenvalue }) => eigenvalue > smallestEigenvalue * largest)
    .sort((a, b) => b.eigenvalue - a.eigenvalue)
    .slice(0, Math.min(components, count - 1));
  // The share of its own vector that an image contributes to its reproduction, its leverage.
  const stretch = Float64Array.from(vectors, (_, image) => {
    const leverage = order.reduce(
      (sum, { eigenvalue, at }) =>
        sum + (eigenvalue / (eigenvalue + ridge)) * eigenvectorMatrix.get(image, at) ** 2,
      0,
    );
    return 1 / Math.max(1 - leverage, 1e-6);
  });
  return {
    mean,
    basis: basisOf(
      vectors,
      order.map(({ eigenvalue, at }) =>
        eigenvectorMatrix.getColumn(at).map((u) => u / Math.sqrt(eigenvalue)),
      ),
    ),
    kept: Float32Array.from(order, ({ eigenvalue }) => eigenvalue / (eigenvalue + ridge)),
    rest: (center * ridge) / (ridge + center * count),
    ridge,
    leftOut,
    unexplained,
    stretch,
  };
}

/** Returns the mean of all vectors, and what each differs from it. */
function centered(images: readonly Float32Array[]): {
  readonly mean: Float32Array;
  readonly vectors: readonly Float32Array[];
} {
  const [first] = images as readonly [Float32Array];
  const sums = new Float64Array(first.length);
  for (const image of images) {
    for (let at = 0; at < sums.length; at++) (sums[at] as number) += image[at] as number;
  }
  const mean = Float32Array.from(sums, (sum) => sum / images.length);
  return { mean, vectors: images.map((image) => image.map((value, at) => value - (mean[at] as number))) };
}

/** Returns the products of all pairs. */
function gramOf(vectors: readonly Float32Array[]): Matrix {
  const gram = Matrix.zeros(vectors.length, vectors.length);
  for (const [row, a] of vectors.entries()) {
    for (let column = 0; column <= row; column++) {
      const b = vectors[column] as Float32Array;
      let sum = 0;
      for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
      gram.set(row, column, sum);
      gram.set(column, row, sum);
    }
  }
  return gram;
}

/** Returns combinations of vectors as columns, [D, K]. @param weights [K][n] */
function basisOf(vectors: readonly Float32Array[], weights: readonly (readonly number[])[]): Float32Array {
  const [first] = vectors as readonly [Float32Array];
  const [size, count] = [first.length, weights.length];
  const basis = new Float32Array(size * count);
  const direction = new Float64Array(size);
  for (const [column, shares] of weights.entries()) {
    direction.fill(0);
    for (const [image, share] of shares.entries()) {
      const vector = vectors[image] as Float32Array;
      for (let at = 0; at < size; at++) (direction[at] as number) += share * (vector[at] as number);
    }
    for (let at = 0; at < size; at++) basis[at * count + column] = direction[at] as number;
  }
  return basis;
}

/** Returns median and upper deviation: near-copies among the good images make the lower half long. */
export function robustScale(values: readonly number[]): { readonly median: number; readonly spread: number } {
  const ascending = [...values].sort((a, b) => a - b);
  const half = (ascending.length - 1) / 2;
  const median = ((ascending[Math.floor(half)] as number) + (ascending[Math.ceil(half)] as number)) / 2;
  const above = ascending.filter((value) => value > median);
  const squares = above.reduce((sum, value) => sum + (value - median) ** 2, 0);
  return { median, spread: Math.max(Math.sqrt(squares / Math.max(above.length, 1)), 1e-6) };
}
