/**
 * A span in closed form. The good images' vectors, less their mean, are the rows of Z; with the ridge rho and the weight c
 * of the mean, A = (Z Z' + rho I + c 1 1')^-1. What is left of a new vector z is
 * z'z + c - (Z z + c)' A (Z z + c), and of a good image by all others 1 / A_ii - rho, exactly, without fitting again; of
 * the images I of one part, by all other parts, the diagonal of (A_II)^-1, less rho.
 * All of it follows from the eigenvalues of Z Z'.
 */
import { EigenvalueDecomposition, inverse as inverseOf, Matrix } from 'ml-matrix';
import { concatenated } from '../../runtime/index.js';
import { truncationRatios } from './left-out-directions.js';
import type { Products } from './products.js';

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
  /** [n]: what the kept directions leave of each good image, by all others. */
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
export async function fitSpan(
  products: Products,
  images: readonly Float32Array[],
  components: number,
  groups: readonly number[] = images.map((_, image) => image),
): Promise<FittedSpan> {
  const count = images.length;
  const { mean, blocks } = centered(images);
  const gram = await gramOf(products, blocks, count);
  const trace = gram.trace();
  const ridge = (ridgeShare * trace) / count;
  const center = (centerShare * trace) / count;
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const most = Math.min(components, count - 1);
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
  const largest = Math.max(...realEigenvalues);
  const order = realEigenvalues
    .map((eigenvalue, at) => ({ eigenvalue, at }))
    .filter(({ eigenvalue }) => eigenvalue > smallestEigenvalue * largest)
    .sort((a, b) => b.eigenvalue - a.eigenvalue);
  const first = order.slice(0, most);
  const ordered = {
    values: order.map(({ eigenvalue }) => eigenvalue),
    columns: order.map(({ at }) => at),
    vectors: eigenvectorMatrix,
  };
  const more = truncationRatios(ordered, most, ridge);
  const stretch = new Float64Array(count);
  const isKept = new Set(first.map(({ at }) => at));
  for (const part of new Set(groups)) {
    const images = [...groups.keys()].filter((image) => groups[image] === part);
    const own = inverseOf(new Matrix(images.map((a) => images.map((b) => inverse(a, b)))));
    const long = leftOutLengths(images, realEigenvalues, eigenvectorMatrix, (at) =>
      isKept.has(at) ? shareOf(realEigenvalues[at] as number, ridge) : 0,
    );
    const others = count - images.length;
    const sum = (entries: readonly number[]): number => entries.reduce((total, entry) => total + entry, 0);
    const within = sum(images.flatMap((a) => images.map((b) => gram.get(a, b))));
    for (const [at, image] of images.entries()) {
      // The squared distance from the mean of the others.
      const along = sum(images.map((b) => gram.get(image, b)));
      const distance = gram.get(image, image) + (2 * along) / others + within / others ** 2;
      const rest = restOf(ridge, center, others);
      leftOut[image] = rest + (more[image] as number) * (own.get(at, at) - ridge - rest);
      unexplained[image] = (leftOut[image] as number) / distance;
      stretch[image] = long[at] as number;
    }
  }
  return {
    mean,
    basis: await basisOf(
      products,
      blocks,
      first.map(({ eigenvalue, at }) =>
        eigenvectorMatrix.getColumn(at).map((u) => u / Math.sqrt(eigenvalue)),
      ),
      count,
    ),
    kept: Float32Array.from(first, ({ eigenvalue }) => shareOf(eigenvalue, ridge)),
    rest: restOf(ridge, center, count),
    ridge,
    leftOut,
    unexplained,
    stretch,
  };
}

/** Returns what the ridge leaves of every image, because the mean of so many is not exact. */
function restOf(ridge: number, center: number, count: number): number {
  return (center * ridge) / (ridge + center * count);
}

/** Returns how much of a direction the ridge leaves. */
function shareOf(eigenvalue: number, ridge: number): number {
  return eigenvalue / (eigenvalue + ridge);
}

/**
 * Returns how much longer what is left of the images of one part is if they do not count themselves. With the share H that
 * they contribute to their own reproductions, their mean among it, and the rows E that are left of them, it is (I - H)^-1 E;
 * lengths follow from E E', which the eigenvalues give.
 * @param kept share of each direction.
 */
function leftOutLengths(
  images: readonly number[],
  eigenvalues: readonly number[],
  vectors: Matrix,
  kept: (at: number) => number,
): number[] {
  const sum = (a: number, b: number, weight: (at: number) => number): number =>
    eigenvalues.reduce((total, _, at) => total + weight(at) * vectors.get(a, at) * vectors.get(b, at), 0);
  const square = (entry: (a: number, b: number) => number): Matrix =>
    new Matrix(images.map((a) => images.map((b) => entry(a, b))));
  const others = inverseOf(
    square((a, b) => (a === b ? 1 + smallestEigenvalue : 0) - 1 / vectors.rows - sum(a, b, kept)),
  );
  const left = square((a, b) =>
    sum(a, b, (at) => Math.max(eigenvalues[at] as number, 0) * (1 - kept(at)) ** 2),
  );
  const long = others.mmul(left).mmul(others.transpose());
  return images.map((_, at) => Math.sqrt(long.get(at, at) / Math.max(left.get(at, at), Number.EPSILON)));
}

/** Entries of the vectors that are in one block. */
const blockLength = 8192;

/** Returns the mean of all vectors, and what each differs from it: blocks of their entries, [n, block] each. */
function centered(images: readonly Float32Array[]): {
  readonly mean: Float32Array;
  readonly blocks: readonly Float32Array[];
} {
  const [first] = images as readonly [Float32Array];
  const sums = new Float64Array(first.length);
  for (const image of images) {
    for (let at = 0; at < sums.length; at++) (sums[at] as number) += image[at] as number;
  }
  const mean = Float32Array.from(sums, (sum) => sum / images.length);
  const blocks: Float32Array[] = [];
  for (let from = 0; from < mean.length; from += blockLength) {
    const length = Math.min(blockLength, mean.length - from);
    const block = new Float32Array(images.length * length);
    for (const [row, image] of images.entries()) {
      for (let at = 0; at < length; at++) {
        block[row * length + at] = (image[from + at] as number) - (mean[from + at] as number);
      }
    }
    blocks.push(block);
  }
  return { mean, blocks };
}

/** Returns the products of all pairs of vectors. */
async function gramOf(products: Products, blocks: readonly Float32Array[], count: number): Promise<Matrix> {
  const sums = new Float64Array(count * count);
  for (const data of blocks) {
    const rows = { count, data };
    for (const [at, value] of (await products.ofRows(rows, rows)).entries()) (sums[at] as number) += value;
  }
  // Rounding must not make it asymmetric.
  const symmetric = (row: number, column: number): number =>
    sums[Math.max(row, column) * count + Math.min(row, column)] as number;
  return new Matrix(
    Array.from({ length: count }, (_, row) =>
      Array.from({ length: count }, (_, column) => symmetric(row, column)),
    ),
  );
}

/** Returns combinations of the vectors as columns, [D, K]. @param weights [K][n] */
async function basisOf(
  products: Products,
  blocks: readonly Float32Array[],
  weights: readonly (readonly number[])[],
  count: number,
): Promise<Float32Array> {
  const shares = new Float32Array(count * weights.length);
  for (const [column, own] of weights.entries()) {
    for (const [row, share] of own.entries()) shares[row * weights.length + column] = share;
  }
  const parts: Float32Array[] = [];
  for (const data of blocks) {
    parts.push(await products.ofColumns({ count, data }, { count, data: shares }));
  }
  return concatenated(parts);
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
