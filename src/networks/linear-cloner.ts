/**
 * The linear cloner. A cloner reproduces what the expert computes on good images; the best linear one is known in closed
 * form: the projection onto what the good images span. It has no weights to train, and what it leaves of an image is the
 * discrepancy. Kin: reconstruction from principal components (DFM, Ahuja et al. 2019); with a ridge, the posterior
 * variance of a Gaussian process with a linear kernel.
 */
import type { Graph, Value } from '../onnx/index.js';
import type { CriticalLayer } from './layout.js';

/** A layer averaged over a grid of cells: what an image is described by, and compared in. */
export interface Span {
  readonly layer: CriticalLayer;
  /** Cells along each side. */
  readonly grid: number;
}

/** Returns the name of a span, which counts as a scoring layer: `pool4/2x2`. */
export function spanName({ layer, grid }: Span): CriticalLayer {
  return `${layer}/${grid}x${grid}`;
}

/** Rows and columns of a grid. */
export type GridSize = readonly [rows: number, columns: number];

/** The derivative of a root is infinite at 0. Activations have unit size. */
const smallestActivation = 1e-6;

/** Adds the root of activations: channels with huge responses stop ruling (RootSIFT, Arandjelovic and Zisserman 2012). */
export function addRoot(graph: Graph, activations: Value): Value {
  const { op } = graph;
  return op.Sqrt(op.Max(activations, graph.scalar(smallestActivation)));
}

/**
 * Adds the vector of a span: roots, averaged over the cells, divided by the length of the vector to the power 0.75, so
 * that contrast counts less, and not nothing.
 * @param activations of the expert, float32 [N, C, H, W].
 * @returns float32 [N, C * grid * grid]
 */
export function addSpanVector(graph: Graph, activations: Value, grid: number): Value {
  const { cells, scale } = addCells(graph, activations, [grid, grid]);
  return graph.op.Reshape(graph.op.Mul(cells, scale), [0, (cells.shape[1] as number) * grid * grid]);
}

/** The cells of a layer before they are divided by the length of its vector, and one over that length to the power 0.75. */
interface Cells {
  /** float32 [N, C, ...grid] */
  readonly cells: Value;
  /** float32 [N, 1, 1, 1] */
  readonly scale: Value;
}

function addCells(graph: Graph, activations: Value, grid: GridSize): Cells {
  const { op } = graph;
  const cells = addMeans(graph, addRoot(graph, activations), grid);
  const square = op.ReduceSum(op.Mul(cells, cells), [1, 2, 3]);
  // |v|^0.75 = s^(1/4) s^(1/8) for s = |v|^2
  const quarter = op.Sqrt(op.Sqrt(square));
  return { cells, scale: op.Reciprocal(op.Mul(quarter, op.Sqrt(quarter))) };
}

/** Adds the means of the positions in each cell, float32 [N, C, ...grid]. */
function addMeans(graph: Graph, x: Value, grid: GridSize): Value {
  const { op } = graph;
  const sides = x.shape.slice(2) as [number, number];
  const [rows, columns] = [sides[0] / grid[0], sides[1] / grid[1]];
  if (rows === 1 && columns === 1) return x;
  if (Number.isInteger(rows) && Number.isInteger(columns)) {
    return op.AveragePool(x, { kernel_shape: [rows, columns], strides: [rows, columns] });
  }
  const byRow = op.MatMul(addShares(graph, grid[0], sides[0]), x);
  return op.MatMul(byRow, op.Transpose(addShares(graph, grid[1], sides[1]), [1, 0]));
}

/** Adds how much of each cell each position fills, [grid, positions]: a position between two cells belongs to both. */
function addShares(graph: Graph, grid: number, positions: number): Value {
  const shares = new Float32Array(grid * positions);
  const perCell = positions / grid;
  for (let cell = 0; cell < grid; cell++) {
    for (let at = 0; at < positions; at++) {
      const inside = Math.min(at + 1, (cell + 1) * perCell) - Math.max(at, cell * perCell);
      if (inside > 0) shares[cell * positions + at] = inside / perCell;
    }
  }
  return graph.constant({ type: 'float32', shape: [grid, positions], data: shares });
}

/** Side of a window in cells, and the distance between windows. */
const window = { side: 3, stride: 2 } as const;

/**
 * Adds windows: means of 3 x 3 cells of several layers on one grid. What is usual in a window does not depend on where it
 * is, so they tell of a surface without a fixed place.
 * @param mean float32 [C], of the windows of good images, is taken off.
 * @returns float32 [N, C, K, L], the channels of all layers.
 */
export function addWindows(graph: Graph, layers: readonly Value[], grid: GridSize, mean?: Value): Value {
  const { op } = graph;
  const { side, stride } = window;
  // Scaled behind the means, where there is a quarter of the values.
  const means = layers.map((layer) => {
    const { cells, scale } = addCells(graph, layer, grid);
    return op.Mul(op.AveragePool(cells, { kernel_shape: [side, side], strides: [stride, stride] }), scale);
  });
  const joined = means.length === 1 ? (means[0] as Value) : op.Concat(means, 1);
  return mean ? op.Sub(joined, op.Reshape(mean, [1, -1, 1, 1])) : joined;
}

/** The tensors of a span: what the good images have in common. */
export interface SpanTensors {
  /** float32 [D]: mean of the good images' vectors. */
  readonly mean: Value;
  /** float32 [D, K]: orthonormal directions of the good images. */
  readonly basis: Value;
  /** float32 [K], 0..1: how much of each direction the ridge leaves. */
  readonly kept: Value;
}

/** What a projection gives, all of it less the mean. */
export interface Projection {
  /** The image's vector, float32 [N, D]. */
  readonly vector: Value;
  /** Its coordinates along the basis, float32 [N, K]. */
  readonly coordinates: Value;
}

export function addProjection(graph: Graph, vector: Value, { mean, basis }: SpanTensors): Projection {
  const centered = graph.op.Sub(vector, mean);
  return { vector: centered, coordinates: graph.op.MatMul(centered, basis) };
}

/** Adds the cloner's activations: the projection, less the mean. @returns float32 [N, D] */
export function addReproduction(
  graph: Graph,
  { coordinates }: Projection,
  { basis, kept }: SpanTensors,
): Value {
  const { op } = graph;
  return op.MatMul(op.Mul(coordinates, kept), op.Transpose(basis, [1, 0]));
}

/**
 * Adds local features: roots of several layers at the finest one's resolution, averaged over 3 x 3 positions. At the
 * border the average is over the positions inside.
 * @param layers float32 [N, C, H, W], the finest first.
 */
export function addLocalFeatures(graph: Graph, layers: readonly Value[]): Value {
  const { op } = graph;
  const [finest] = layers as readonly [Value];
  const resized = layers.map((layer) => {
    const times = (finest.shape[2] as number) / (layer.shape[2] as number);
    const root = addRoot(graph, layer);
    return times === 1 ? root : op.Resize(root, [times, times]);
  });
  return addBoxMean(graph, resized.length === 1 ? (resized[0] as Value) : op.Concat(resized, 1));
}

/** @param x float32 [N, C, H, W] */
function addBoxMean(graph: Graph, x: Value): Value {
  const { op } = graph;
  const [height, width] = x.shape.slice(2) as [number, number];
  const along = (value: Value, axis: number): Value => {
    const pads = [0, 1, 2, 3, 0, 1, 2, 3].map((of) => (of === axis ? 1 : 0));
    const padded = op.Pad(value, pads);
    const side = value.shape[axis] as number;
    const shifted = (by: number): Value => op.Slice(padded, [by], [by + side], [axis]);
    return op.Add(op.Add(shifted(0), shifted(1)), shifted(2));
  };
  const inside = (at: number, side: number): number => (at === 0 || at === side - 1 ? 2 : 3);
  const correction = Float32Array.from(
    { length: height * width },
    (_, place) => 1 / (inside(Math.floor(place / width), height) * inside(place % width, width)),
  );
  const shares = graph.constant({ type: 'float32', shape: [1, 1, height, width], data: correction });
  return op.Mul(along(along(x, 2), 3), shares);
}
