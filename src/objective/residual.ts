/** Discrepancies between the expert and a linear cloner: what is left of an image after its projection. */
import type { Graph, Value } from '../onnx/index.js';

/** An image's vector, less the mean, float32 [N, D], and its coordinates along the basis, float32 [N, K]. */
interface Projected {
  readonly vector: Value;
  readonly coordinates: Value;
}

/** Lower bound of what is left: the logarithm of 0 is infinite. */
export const smallestResidual = 1e-9;

/**
 * Adds the squared distance that is left, the posterior variance of a Gaussian process with a linear kernel.
 * @param rest float32 scalar, what the ridge leaves of every image.
 * @returns float32 [N, 1], above 0.
 */
export function addResidual(
  graph: Graph,
  { vector, coordinates }: Projected,
  kept: Value,
  rest: Value,
): Value {
  const { op } = graph;
  const explained = op.ReduceSum(op.Mul(op.Mul(coordinates, coordinates), kept), [1]);
  const left = op.Add(op.Sub(op.ReduceSumSquare(vector, [1]), explained), rest);
  return op.Max(left, graph.scalar(smallestResidual));
}

/** Adds the share of an image's distance from the mean that is left. @returns float32 [N, 1], about 0..1 */
export function addUnexplained(graph: Graph, { vector }: Projected, residual: Value): Value {
  const { op } = graph;
  return op.Div(residual, op.Max(op.ReduceSumSquare(vector, [1]), graph.scalar(smallestResidual)));
}

/**
 * Adds the length of what is left in each cell.
 * @param vector of the expert, @param reproduction of the cloner, float32 [N, D].
 * @returns float32 [N, 1, grid, grid], above 0.
 */
export function addCellResidual(graph: Graph, vector: Value, reproduction: Value, grid: number): Value {
  const { op } = graph;
  const left = op.Sub(vector, reproduction);
  const cells = op.Reshape(left, [0, -1, grid, grid]);
  return op.Sqrt(op.Max(op.ReduceSumSquare(cells, [1]), graph.scalar(smallestResidual)));
}

/** Windows that count: one could be chance, and all of them would drown a small defect. */
export const highestWindows = 3;

/**
 * Adds how unusual the most unusual windows are: the mean of the three highest of their squared distances from the mean,
 * in deviations of good images along each direction (Mahalanobis).
 * @param windows float32 [N, C, K, K], less the mean of good images.
 * @param whitening float32 [C, C].
 * @returns float32 [N, 1], above 0.
 */
export function addWindowEnergy(graph: Graph, windows: Value, whitening: Value): Value {
  const { op } = graph;
  const [, channels, rows, columns] = windows.shape as [unknown, number, number, number];
  // As a product and a sum: Conv and ReduceSumSquare take three times as long.
  const whitened = op.MatMul(whitening, op.Reshape(windows, [0, channels, rows * columns]));
  let energies = op.ReduceSum(op.Mul(whitened, whitened), [1]);
  let sum = graph.scalar(0);
  for (let rank = 0; rank < highestWindows; rank++) {
    const highest = op.ReduceMax(energies, [1, 2]);
    sum = op.Add(sum, highest);
    const isOther = op.Sub(graph.scalar(1), op.Cast(op.Equal(energies, highest), 'float32'));
    energies = op.Mul(energies, isOther);
  }
  const mean3 = op.Mul(sum, graph.scalar(1 / highestWindows));
  return op.Max(op.Reshape(mean3, [0, 1]), graph.scalar(smallestResidual));
}

/** The tensors of a local projection, the same at all positions: float32 [C], [C], and [K, C, 1, 1]. */
export interface LocalTensors {
  readonly mean: Value;
  readonly inverseDeviation: Value;
  readonly basis: Value;
}

/**
 * Adds the length of what is left at each position.
 * @param features float32 [N, C, H, W]
 * @returns float32 [N, 1, H, W], above 0.
 */
export function addLocalResidual(
  graph: Graph,
  features: Value,
  { mean, inverseDeviation, basis }: LocalTensors,
): Value {
  const { op } = graph;
  const byChannel = (value: Value): Value => op.Reshape(value, [1, -1, 1, 1]);
  const standardized = op.Mul(op.Sub(features, byChannel(mean)), byChannel(inverseDeviation));
  const explained = op.ReduceSumSquare(op.Conv(standardized, basis), [1]);
  const left = op.Sub(op.ReduceSumSquare(standardized, [1]), explained);
  return op.Sqrt(op.Max(left, graph.scalar(smallestResidual)));
}
