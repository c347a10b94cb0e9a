/**
 * Position-wise comparison: one cosine for each position instead of one for a whole layer. Channels are standardized
 * with the statistics of good images, so that no channel dominates. Not part of MKD; follows STFPM (Wang et al. 2021,
 * equation 1) and its successors.
 */
import type { Graph, Value } from '../onnx/index.js';
import { addCosine } from './cosine.js';
import type { LayerActivations } from './discrepancy.js';

/** Mean and 1 / deviation of the expert's channels over good images, float32 [C] each. */
export interface Standardization {
  readonly mean: Value;
  readonly inverseDeviation: Value;
}

/**
 * Adds the direction discrepancy at every position.
 * @returns float32 [N, 1, H, W], 1 - cosine over the channels, in 0..2.
 */
export function addPositionDiscrepancy(
  graph: Graph,
  { expert, cloner }: LayerActivations,
  { mean, inverseDeviation }: Standardization,
): Value {
  const { op } = graph;
  const perChannel = (value: Value): Value => op.Reshape(value, [1, value.shape[0] as number, 1, 1]);
  const [center, scale] = [perChannel(mean), perChannel(inverseDeviation)];
  const standardized = (x: Value): Value => op.Mul(op.Sub(x, center), scale);
  const cosine = addCosine(graph, standardized(expert), standardized(cloner), [1]);
  return op.Sub(graph.scalar(1), cosine);
}
