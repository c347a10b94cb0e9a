/**
 * The graphs that serve detectors: expert and cloner in one graph. The cloner's weights are inputs, so that one session
 * serves all detectors of the same shape. Graphs are built in the worker that runs them.
 */
import { addGradients, guidedRules, plainRules } from '../autodiff/index.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  type CriticalLayer,
  criticalLayer,
  type Layout,
  loadExpert,
  tensorNames,
} from '../networks/index.js';
import {
  addNeighborDiscrepancy,
  addObjective,
  addPositionDiscrepancy,
  addSummary,
  type LayerActivations,
  type Objective,
} from '../objective/index.js';
import { type ConstantTensor, encodeModel, Graph, type Value } from '../onnx/index.js';
import type { ModelRecipe } from '../runtime/index.js';
import { addGaussianSmoothing } from './smoothing.js';

const { inputs, nextStateName, layerNames, outputs } = tensorNames;

/**
 * How a localization map is computed: from the gradient of the score (MKD, section 3.3), or from the position-wise
 * discrepancies, which are part of the score.
 */
export const localizationMethods = ['discrepancy', 'gradient', 'smoothgrad', 'guided'] as const;

export type LocalizationMethod = (typeof localizationMethods)[number];

/** What all detectors that share a session have in common. */
export interface ServingShape {
  /** Path of the expert's card. */
  readonly expertCard: string;
  readonly layout: Layout;
  /** Side of the square input, pixels. */
  readonly inputSize: number;
  readonly scoringLayers: readonly CriticalLayer[];
  /** Whether positions are compared and the map's peak is part of the score. */
  readonly positions: boolean;
  /** Whether the distance to the nearest good image is part of the score. */
  readonly neighbors: boolean;
}

export interface ServingModelSpec extends ServingShape {
  /** `none` computes scores only, without the gradient. */
  readonly map: LocalizationMethod | 'none';
  /** Inputs that become constants of the model, which then serves one detector only. */
  readonly bound?: Readonly<Record<string, ConstantTensor>>;
}

export const servingModel = (spec: ServingModelSpec): ModelRecipe => ({
  module: import.meta.url,
  function: buildServingModel.name,
  argument: spec,
});

/**
 * Builds the model. Inputs and outputs are those of {@link tensorNames}: the image, the weights of discrepancies and
 * cloner; statistics of channels and map if positions are compared; neighbors if the nearest good image counts.
 * Outputs: score, value and direction, then neighbor, peak and map as requested.
 *
 * SmoothGrad takes one image and processes its noisy copies in parts: further inputs are the noise, the sum of the
 * gradients so far, and the number of copies in all parts. Its map is right after the last part.
 */
export async function buildServingModel(spec: ServingModelSpec): Promise<Uint8Array> {
  const graph = new Graph(`serving-${spec.map}`);
  const smoothGrad = spec.map === 'smoothgrad';
  const size = [spec.inputSize, spec.inputSize] as const;
  const image = addImageInput(graph, size, smoothGrad ? 1 : 'N');
  const graphInput = smoothGrad
    ? graph.op.Add(image, graph.input(inputs.noise, 'float32', ['K', 3, ...size]))
    : image;
  const expert = await loadExpert(spec.expertCard);
  const { score, value, direction, neighbor, region } = addScore(graph, graphInput, spec, expert);
  if (!smoothGrad) {
    graph.output(score, outputs.score);
    graph.output(value, outputs.value);
    graph.output(direction, outputs.direction);
    if (neighbor) graph.output(neighbor, outputs.neighbor);
    if (region) graph.output(region.peak, outputs.peak);
  }
  if (spec.map === 'discrepancy') {
    if (!region) throw new RangeError('there is no discrepancy map if positions are not compared');
    graph.output(graph.op.Reshape(region.map, [0, ...size]), outputs.map);
  } else if (spec.map !== 'none') {
    const rules = spec.map === 'guided' ? guidedRules : plainRules;
    const [grad] = addGradients(graph, score, [image], { rules }) as [Value];
    graph.output(addMap(graph, smoothGrad ? addToSum(graph, grad) : grad, spec.inputSize), outputs.map);
  }
  return encodeModel(graph, spec.bound);
}

/** The terms of the score, and their sum. */
interface ScoreTerms extends Objective {
  /** Neighbor discrepancy of each layer, [N, L]. */
  readonly neighbor?: Value;
  readonly region?: DiscrepancyMap;
}

function addScore(
  graph: Graph,
  image: Value,
  { layout, scoringLayers, inputSize, positions, neighbors }: ServingShape,
  expert: Awaited<ReturnType<typeof loadExpert>>,
): ScoreTerms {
  const expertPools = addExpert(graph, image, expert);
  const clonerPools = addCloner(graph, image, layout);
  const layers = scoringLayers.map((name) => ({
    expert: criticalLayer(expertPools, name),
    cloner: criticalLayer(clonerPools, name),
  }));
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  const { op } = graph;
  const objective = addObjective(
    graph,
    layers,
    weights(inputs.valueWeights),
    weights(inputs.directionWeights),
  );
  const centeredScore = op.Sub(objective.score, graph.input(inputs.scoreOffset, 'float32', []));
  const neighbor = neighbors ? addNeighbors(graph, layers, scoringLayers) : undefined;
  const weighted = neighbor && op.Mul(neighbor, weights(inputs.neighborWeights));
  const score = weighted
    ? op.Add(centeredScore, op.ReduceSum(weighted, [1], { keepdims: false }))
    : centeredScore;
  const terms = { ...objective, ...(neighbor ? { neighbor } : {}) };
  if (!positions) return { ...terms, score };
  const discrepancies = layers.map((layer, index) => {
    const channels = [layer.expert.shape[1] as number];
    const name = scoringLayers[index] as CriticalLayer;
    return addPositionDiscrepancy(graph, layer, {
      mean: graph.input(layerNames.mean(name), 'float32', channels),
      inverseDeviation: graph.input(layerNames.inverseDeviation(name), 'float32', channels),
    });
  });
  const map = addDiscrepancyMap(graph, discrepancies, weights(inputs.positionWeights), inputSize);
  const peak = op.Squeeze(op.ReduceMax(map, [1, 2, 3]), [1, 2, 3]);
  const share = op.Mul(peak, graph.input(inputs.mapWeight, 'float32', []));
  return { ...terms, score: op.Add(score, share), region: { map, peak } };
}

/** Adds the discrepancy to the nearest good image at each layer, [N, L]. */
function addNeighbors(
  graph: Graph,
  layers: readonly LayerActivations[],
  names: readonly CriticalLayer[],
): Value {
  const discrepancies = layers.map(({ expert }, index) => {
    const shape = [expert.shape[1] as number, 'K'];
    const columns = graph.input(layerNames.neighbors(names[index] as CriticalLayer), 'float32', shape);
    return addNeighborDiscrepancy(graph, addSummary(graph, expert), columns);
  });
  return graph.op.Concat(discrepancies, 1);
}

/** The discrepancy map [N, 1, H, W] and its largest entry [N]. */
interface DiscrepancyMap {
  readonly map: Value;
  readonly peak: Value;
}

/** Positions of deep layers are 16 and 32 pixels wide at any input size; a wide Gaussian blends them. */
const discrepancySmoothingShare = 8 / 128;

/**
 * Adds the discrepancy map: weighted position-wise discrepancies of all layers, resized to the input and smoothed, in
 * standard deviations above the mean of good images at the same place.
 */
function addDiscrepancyMap(
  graph: Graph,
  discrepancies: readonly Value[],
  weights: Value,
  size: number,
): Value {
  const { op } = graph;
  const sum = discrepancies
    .map((discrepancy, index) => {
      const times = size / (discrepancy.shape[2] as number);
      return op.Mul(op.Resize(discrepancy, [times, times]), op.Slice(weights, [index], [index + 1], [0]));
    })
    .reduce((total, layer) => op.Add(total, layer));
  const smoothed = addGaussianSmoothing(graph, sum, size, discrepancySmoothingShare);
  const [mean, deviation] = [inputs.mapMean, inputs.mapDeviation].map((name) =>
    graph.input(name, 'float32', [size, size]),
  ) as [Value, Value];
  return op.Relu(op.Div(op.Sub(smoothed, mean), deviation));
}

/** Adds a gradient to the sum so far. Returns the sum divided by the number of copies, [1, 3, H, W]. */
function addToSum(graph: Graph, grad: Value): Value {
  const { op } = graph;
  const sum = op.Add(graph.input(inputs.gradientSum, 'float32', grad.shape), grad);
  graph.output(sum, nextStateName(inputs.gradientSum));
  return op.Div(sum, graph.input(inputs.copies, 'float32', []));
}

/** Adds |gradient|, summed over the channels and smoothed: [N, 3, H, W] to [N, H, W]. */
function addMap(graph: Graph, grad: Value, size: number): Value {
  const { op } = graph;
  const magnitude = op.ReduceSum(op.Abs(grad), [1]);
  return op.Reshape(addGaussianSmoothing(graph, magnitude, size), [0, size, size]);
}
