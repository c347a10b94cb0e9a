/** What the discrepancy maps of all kinds of cloners have in common: their scale, and their peak as a term of the score. */
import { tensorNames } from '../../networks/index.js';
import type { Graph, Shape, Value } from '../../onnx/index.js';
import type { DiscrepancyMap } from './served-cloner.js';

const { inputs } = tensorNames;

/**
 * Adds a map in deviations above what good images show, at least 0.
 * @param map float32 [N, 1, H, W]
 * @param shape of mean and deviation: [H, W] for a scale of each place, [] for one.
 */
export function addStandardized(graph: Graph, map: Value, shape: Shape): Value {
  const { op } = graph;
  const mean = graph.input(inputs.mapMean, 'float32', shape);
  const deviation = graph.input(inputs.mapDeviation, 'float32', shape);
  return op.Relu(op.Div(op.Sub(map, mean), deviation));
}

/** Adds the largest entry of a map to a score, by its weight. */
export function addPeak(
  graph: Graph,
  score: Value,
  map: Value,
): { readonly score: Value; readonly region: DiscrepancyMap } {
  const { op } = graph;
  const peak = op.Squeeze(op.ReduceMax(map, [1, 2, 3]), [1, 2, 3]);
  const share = op.Mul(peak, graph.input(inputs.mapWeight, 'float32', []));
  return { score: op.Add(score, share), region: { map, peak } };
}
