/**
 * How far an image lies from the nearest good one, by what the expert alone sees: a layer is summed up by the strongest
 * response of each channel, wherever it is. Not part of MKD; nearest neighbors of pre-trained features are the way of
 * DN2 (Bergman et al. 2020), and roots of parts of a whole, compared by their cosine, that of RootSIFT (Arandjelovic and
 * Zisserman 2012): a few strong channels do not drown the many others.
 */
import type { Graph, Value } from '../onnx/index.js';

/** Responses below this count as this, so that no root is infinitely steep. Activations are of unit size. */
const smallestResponse = 1e-4;

/**
 * Adds the summary of a layer.
 * @param activations the expert's, float32 [N, C, H, W].
 * @returns float32 [N, C] of unit length, entries above 0.
 */
export function addSummary(graph: Graph, activations: Value): Value {
  const { op } = graph;
  const strongest = op.Reshape(op.ReduceMax(activations, [2, 3]), [0, activations.shape[1] as number]);
  const roots = op.Sqrt(op.Max(strongest, graph.scalar(smallestResponse)));
  return op.Div(roots, op.Sqrt(op.ReduceSumSquare(roots, [1])));
}

/**
 * Adds the discrepancy between a summary and the nearest of those of good images: half the squared distance, which for
 * unit lengths is 1 - the cosine. It is taken between differences from the neighbors' mean, since 1 - a cosine of nearly 1
 * has few digits left.
 * @param summary float32 [N, C]
 * @param neighbors summaries of good images as columns, float32 [C, K].
 * @returns float32 [N, 1], in 0..1.
 */
export function addNeighborDiscrepancy(graph: Graph, summary: Value, neighbors: Value): Value {
  const { op } = graph;
  const mean = op.ReduceMean(neighbors, [1]);
  const columns = op.Sub(neighbors, mean);
  const row = op.Sub(summary, op.Reshape(mean, [1, -1]));
  const two = graph.scalar(2);
  // |a - b|^2 = |a|^2 - (2 a b - |b|^2)
  const nearness = op.Sub(op.Mul(op.MatMul(row, columns), two), op.ReduceSumSquare(columns, [0]));
  return op.Div(op.Sub(op.ReduceSumSquare(row, [1]), op.ReduceMax(nearness, [1])), two);
}
