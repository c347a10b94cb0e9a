/**
 * Discrepancies between expert and cloner (MKD, section 3), used for both scoring and training: their weighted sum is
 * the anomaly score of an image, and its mean over a batch of good images is the distillation loss.
 */
import type { Graph, Value } from '../onnx/index.js';
import { addCosine } from './cosine.js';

/** The activations of one critical layer, float32 [N, C, H, W] each. */
export interface LayerActivations {
  readonly expert: Value;
  readonly cloner: Value;
}

export interface Objective {
  /** Value discrepancy of each layer (equation 1): mean squared difference, [N, L]. */
  readonly value: Value;
  /** Direction discrepancy of each layer (equation 2): 1 - cosine, in 0..2, [N, L]. */
  readonly direction: Value;
  /** Weighted sum of both over all layers (equation 3), [N]. */
  readonly score: Value;
}

/**
 * Adds the objective to a graph.
 * @param valueWeights, directionWeights float32 [L], one for each of `layers`.
 */
export function addObjective(
  graph: Graph,
  layers: readonly LayerActivations[],
  valueWeights: Value,
  directionWeights: Value,
): Objective {
  const { op } = graph;
  const value = op.Concat(
    layers.map((layer) => valueDiscrepancy(graph, layer)),
    1,
  );
  const direction = op.Concat(
    layers.map((layer) => directionDiscrepancy(graph, layer)),
    1,
  );
  return { value, direction, score: addWeightedSum(graph, value, direction, valueWeights, directionWeights) };
}

/** Adds the weighted sum of value and direction discrepancies [N, L] over all layers, [N]. */
export function addWeightedSum(
  graph: Graph,
  value: Value,
  direction: Value,
  valueWeights: Value,
  directionWeights: Value,
): Value {
  const { op } = graph;
  const weighted = op.Add(op.Mul(value, valueWeights), op.Mul(direction, directionWeights));
  return op.ReduceSum(weighted, [1], { keepdims: false });
}

/** [N, 1] */
function valueDiscrepancy(graph: Graph, { expert, cloner }: LayerActivations): Value {
  const { op } = graph;
  const entries = expert.shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
  const squares = op.ReduceSumSquare(op.Sub(expert, cloner), perImage);
  return op.Reshape(op.Mul(squares, graph.scalar(1 / entries)), [0, 1]);
}

/** [N, 1] */
function directionDiscrepancy(graph: Graph, { expert, cloner }: LayerActivations): Value {
  const { op } = graph;
  const cosine = addCosine(graph, expert, cloner, perImage);
  return op.Reshape(op.Sub(graph.scalar(1), cosine), [0, 1]);
}

const perImage = [1, 2, 3] as const;
