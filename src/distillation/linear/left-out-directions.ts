/**
 * What the first directions leave of a good image that is not among those they come from. A span keeps the first K
 * directions only, and an image that was learned from has bent them towards itself.
 */
import type { Matrix } from 'ml-matrix';

/** Of Z Z', the largest first: eigenvalues [r] above 0, and the column of the eigenvectors that belongs to each. */
export interface Eigen {
  readonly values: readonly number[];
  readonly columns: readonly number[];
  /** [n, n] */
  readonly vectors: Matrix;
}

/** The secular equation is solved in about ten steps. */
const mostSteps = 60;
const precision = 1e-12;

/**
 * Returns how many times as much the first directions leave of each image as all directions do, both from the other images.
 *
 * Without the image x, less the mean, the scatter of n images loses n / (n - 1) x x'. Along the old directions, where
 * w = V'x, it is diag(values) - g w w': its eigenvalues are the roots of 1 - g sum_j w_j^2 / (values_j - root), one between
 * each two old ones (Golub 1973, section 5), and (v'w)^2 = 1 / (g^2 sum_j w_j^2 / (values_j - root)^2) along each new direction.
 * @param most directions that are kept.
 * @param ridge of the span.
 * @returns [n], at least 1.
 */
export function truncationRatios(
  { values, columns, vectors }: Eigen,
  most: number,
  ridge: number,
): Float64Array {
  const images = vectors.rows;
  const ratios = new Float64Array(images).fill(1);
  // Without the image there is one direction less.
  if (most >= values.length - 1) return ratios;
  const loss = images / (images - 1);
  const squares = new Float64Array(values.length);
  for (let image = 0; image < images; image++) {
    let length = 0;
    let solved = 0;
    for (const [at, value] of values.entries()) {
      const square = value * vectors.get(image, columns[at] as number) ** 2;
      squares[at] = square;
      length += square;
      solved += square / (value + ridge);
    }
    // Sherman and Morrison: ridge w'(diag(values) - g w w' + ridge)^-1 w
    const byAll = (ridge * solved) / Math.max(1 - loss * solved, Number.EPSILON);
    let explained = 0;
    for (let at = 0; at < most; at++) {
      const { value, along } = direction(values, squares, at, loss);
      explained += (Math.min(along, length) * value) / (value + ridge);
    }
    ratios[image] = Math.max(1, (length - explained) / byAll);
  }
  return ratios;
}

/** Returns the eigenvalue between two old ones, and the square of the image along its direction. */
function direction(
  values: readonly number[],
  squares: Float64Array,
  at: number,
  loss: number,
): { readonly value: number; readonly along: number } {
  const [above, below] = [values[at] as number, values[at + 1] as number];
  const gap = above - below;
  const [a, b] = [loss * (squares[at] as number), loss * (squares[at + 1] as number)];
  // Sought as a distance from the old eigenvalue below, times both distances: so there are no poles.
  const equation = (place: number): number => {
    const root = below + place;
    let others = 1;
    for (let j = 0; j < values.length; j++) {
      if (j !== at && j !== at + 1)
        others -= (loss * (squares[j] as number)) / ((values[j] as number) - root);
    }
    return others * place * (gap - place) - a * place + b * (gap - place);
  };
  const place = rootBetween(equation, { at: 0, value: b * gap }, { at: gap, value: -a * gap }, above);
  const root = below + place;
  let curvature = 0;
  for (let j = 0; j < values.length; j++) {
    curvature += (squares[j] as number) / ((values[j] as number) - root) ** 2;
  }
  return { value: root, along: 1 / (loss * loss * curvature) };
}

interface Point {
  readonly at: number;
  readonly value: number;
}

/** Returns where a function that is positive on the left and negative on the right is 0 (the Illinois method). */
function rootBetween(of: (at: number) => number, left: Point, right: Point, scale: number): number {
  let [low, high] = [left, right];
  let last = 0;
  for (let step = 0; step < mostSteps && high.at - low.at > precision * scale; step++) {
    const at = (low.at * high.value - high.at * low.value) / (high.value - low.value);
    if (!(at > low.at && at < high.at)) break;
    const value = of(at);
    // An end that stays twice counts half, so that it moves.
    if (value > 0) {
      low = { at, value };
      if (last > 0) high = { at: high.at, value: high.value / 2 };
    } else {
      high = { at, value };
      if (last < 0) low = { at: low.at, value: low.value / 2 };
    }
    if (Math.abs(value) <= Number.EPSILON * scale * scale) return at;
    last = Math.sign(value) || -1;
  }
  const span = low.value - high.value;
  return span > 0 ? (high.at * low.value - low.at * high.value) / span : low.at;
}
