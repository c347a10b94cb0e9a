/** The convolutional cloner (MKD, section 4), in serving graphs. */

import { sideOf } from '../../imaging/index.js';
import {
  addCloner,
  type CriticalLayer,
  criticalLayer,
  foldBatchNormalization,
  type Layout,
  runningStatistics,
  tensorNames,
  trainableParameters,
} from '../../networks/index.js';
import {
  addNeighborDiscrepancy,
  addObjective,
  addPositionDiscrepancy,
  addSummary,
  type LayerActivations,
} from '../../objective/index.js';
import type { Graph, Value } from '../../onnx/index.js';
import { compact, float32, type Tensor, type Tensors } from '../../runtime/index.js';
import { floatTensor, type TensorMap } from '../../weights/safetensors.js';
import { DetectorError, type Terms } from '../manifest.js';
import { addGaussianSmoothing } from '../smoothing.js';
import { addPeak, addStandardized } from './discrepancy-map.js';
import type { ScoreShape, ScoreTerms, ServedCloner } from './served-cloner.js';

const { clonerInput, inputs, layerNames, storedNames } = tensorNames;

export interface ConvolutionalCloner {
  readonly kind: 'convolutional';
  readonly layout: Layout;
}

export function servedConvolutional({ layout }: ConvolutionalCloner): ServedCloner {
  return {
    addScore: (graph, image, pools, shape) => addScore(graph, addCloner(graph, image, layout), pools, shape),
    depths: ({ scoringLayers }, layers) => scoringLayers.map((layer) => layers.indexOf(layer)),
    feeds: ({ scoringLayers }, terms, tensors) => {
      checkCloner(layout, tensors);
      return {
        ...(terms.neighbors ? neighborFeeds(scoringLayers, terms.neighbors, tensors) : {}),
        ...(terms.map ? positionFeeds(scoringLayers, terms.map, tensors) : {}),
        ...clonerFeeds(layout, tensors),
      };
    },
    layerFeeds: ({ scoringLayers }, terms, tensors) => (terms.map ? layerFeeds(scoringLayers, tensors) : {}),
  };
}

function addScore(
  graph: Graph,
  clonerPools: ReadonlyMap<CriticalLayer, Value>,
  expertPools: ReadonlyMap<CriticalLayer, Value>,
  { scoringLayers, inputSize, positions, neighbors }: ScoreShape,
): ScoreTerms {
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
  if (!positions) return { ...terms, score, peakCounts: false };
  const discrepancies = layers.map((layer, index) => {
    const channels = [layer.expert.shape[1] as number];
    const name = scoringLayers[index] as CriticalLayer;
    return addPositionDiscrepancy(graph, layer, {
      mean: graph.input(layerNames.mean(name), 'float32', channels),
      inverseDeviation: graph.input(layerNames.inverseDeviation(name), 'float32', channels),
    });
  });
  const map = addDiscrepancyMap(graph, discrepancies, weights(inputs.positionWeights), sideOf(inputSize));
  const region = addPeak(graph, map);
  const share = op.Mul(region.peak, graph.input(inputs.mapWeight, 'float32', []));
  return { ...terms, score: op.Add(score, share), addRegion: () => region, peakCounts: true };
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
  const smoothed = addGaussianSmoothing(graph, sum, discrepancySmoothingShare);
  return addStandardized(graph, smoothed, [size, size]);
}

function neighborFeeds(
  layers: readonly CriticalLayer[],
  { weights }: NonNullable<Terms['neighbors']>,
  tensors: TensorMap,
): Tensors {
  const feeds: Record<string, Tensor> = { [inputs.neighborWeights]: float32([weights.length], weights) };
  for (const layer of layers) {
    const { shape, data } = floatTensor(tensors, layerNames.neighbors(layer));
    feeds[layerNames.neighbors(layer)] = float32(shape, data);
  }
  return feeds;
}

function positionFeeds(
  layers: readonly CriticalLayer[],
  map: NonNullable<Terms['map']>,
  tensors: TensorMap,
): Tensors {
  return {
    [inputs.positionWeights]: float32([map.layers.length], map.layers),
    [inputs.mapWeight]: float32([], [map.weight]),
    ...placeFeeds(tensors, storedNames.map()),
    ...standardizationFeeds(layers, tensors),
  };
}

/** Returns the inputs that standardize the expert's channels, for graphs that compare positions. */
export function standardizationFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Tensors {
  const feeds: Record<string, Tensor> = {};
  for (const layer of layers) {
    const { data: mean } = floatTensor(tensors, storedNames.channelMean(layer));
    const { data: deviation } = floatTensor(tensors, storedNames.channelDeviation(layer));
    feeds[layerNames.mean(layer)] = float32([mean.length], mean);
    feeds[layerNames.inverseDeviation(layer)] = float32(
      [deviation.length],
      deviation.map((value) => 1 / value),
    );
  }
  return feeds;
}

/** Returns mean and deviation of good images at each place of a map. @param map its stored name. */
function placeFeeds(tensors: TensorMap, map: string): Tensors {
  const mean = floatTensor(tensors, storedNames.placeMean(map));
  const deviation = floatTensor(tensors, storedNames.placeDeviation(map));
  return {
    [inputs.mapMean]: float32(mean.shape, mean.data),
    [inputs.mapDeviation]: float32(deviation.shape, deviation.data),
  };
}

function layerFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Readonly<Record<string, Tensors>> {
  const known = layers.filter((layer) => tensors.has(storedNames.placeMean(storedNames.map(layer))));
  return Object.fromEntries(
    known.map((layer) => {
      const only = layers.map((other) => (other === layer ? 1 : 0));
      const weights = { [inputs.positionWeights]: float32([layers.length], only) };
      return [layer, compact({ ...weights, ...placeFeeds(tensors, storedNames.map(layer)) })];
    }),
  );
}

/** Returns the inputs of a trained cloner, with batch normalization folded in. */
export function clonerFeeds(layout: Layout, cloner: TensorMap): Tensors {
  const folded = foldBatchNormalization(layout, cloner);
  return Object.fromEntries(folded.map(({ name, shape, data }) => [clonerInput(name), float32(shape, data)]));
}

function checkCloner(layout: Layout, cloner: TensorMap): void {
  for (const { name, shape } of [...trainableParameters(layout), ...runningStatistics(layout)]) {
    const tensor = cloner.get(name);
    if (tensor?.shape.join() === shape.join()) continue;
    const found = tensor ? `[${tensor.shape.join(', ')}]` : 'missing';
    throw new DetectorError(`the cloner's ${name} is ${found}; its layout requires [${shape.join(', ')}]`);
  }
}
