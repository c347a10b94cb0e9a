/** What the discrepancy maps of all kinds of cloners have in common: their scale, and their peak. */
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
  return graph.op.Relu(addDeviations(graph, map, shape));
}

/**
 * Adds the same map without an end: below one deviation it falls to 0 as e^(x - 1) does, so that places which show less than
 * the mean still have an order.
 */
export function addSoftlyStandardized(graph: Graph, map: Value, shape: Shape): Value {
  const { op } = graph;
  const deviations = addDeviations(graph, map, shape);
  const one = graph.scalar(1);
  const below = op.Exp(op.Sub(op.Min(deviations, one), one));
  return op.Add(op.Sub(op.Max(deviations, one), one), below);
}

function addDeviations(graph: Graph, map: Value, shape: Shape): Value {
  const { op } = graph;
  const mean = graph.input(inputs.mapMean, 'float32', shape);
  const deviation = graph.input(inputs.mapDeviation, 'float32', shape);
  return op.Div(op.Sub(map, mean), deviation);
}

/** Adds the largest entry of a map, [N]. */
export function addPeak({ op }: Graph, map: Value): DiscrepancyMap {
  return { map, peak: op.Squeeze(op.ReduceMax(map, [1, 2, 3]), [1, 2, 3]) };
}
