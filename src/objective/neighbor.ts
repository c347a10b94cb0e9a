/**
 * Distance of an image from the nearest good image, from the expert's activations only. The summary of a layer is the
 * maximum of each channel over all positions. Not part of MKD. Nearest neighbors of pre-trained features follow DN2
 * (Bergman et al. 2020). The cosine of square roots follows RootSIFT (Arandjelovic and Zisserman 2012), so that a few
 * strong channels do not dominate.
 */
import type { Graph, Value } from '../onnx/index.js';

/** Lower bound for responses, because the gradient of a root is infinite at 0. Activations have unit size. */
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
 * Adds the discrepancy between a summary and the nearest summary of a good image: half the squared distance, which for
 * unit lengths equals 1 - cosine. Both are first centered on the neighbors' mean, because 1 - cosine loses precision
 * if the cosine is close to 1.
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
