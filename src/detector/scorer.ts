/** A detector's inputs to the serving graph: folded weights, discrepancy weights, statistics of good images. */
import type { InputShape } from '../imaging/index.js';
import {
  type CriticalLayer,
  foldBatchNormalization,
  type Layout,
  runningStatistics,
  tensorNames,
  trainableParameters,
} from '../networks/index.js';
import { compact, float32, type Tensor, type Tensors } from '../runtime/index.js';
import { floatTensor, type TensorMap } from '../weights/safetensors.js';
import type { Scorer } from './loaded-detector.js';
import { DetectorError, type Terms } from './manifest.js';
import type { ServingShape } from './serving-model.js';

const { clonerInput, inputs, layerNames, storedNames } = tensorNames;

/**
 * Builds a scorer from a cloner and its terms.
 * @param cloner its tensors. If the nearest good image counts, they include the neighbors of each scoring layer; if
 * positions are compared, the statistics of channels and maps ({@link stored}).
 * @throws DetectorError if its tensors do not fit its layout.
 */
export function assembleScorer(
  shape: ServingShape,
  terms: Terms,
  cloner: TensorMap,
  { tiling, range }: Pick<InputShape, 'tiling' | 'range'> = {},
): Scorer {
  const { layout, scoringLayers } = shape;
  checkCloner(layout, cloner);
  const vector = (numbers: readonly number[]) => float32([numbers.length], numbers);
  const offset = offsetOf(terms);
  return {
    shape,
    input: { inputSize: shape.inputSize, tiling, range },
    // Compact copies, so that the bytes of the whole file can be freed.
    feeds: compact({
      [inputs.valueWeights]: vector(terms.value),
      [inputs.directionWeights]: vector(terms.direction),
      [inputs.scoreOffset]: float32([], [offset]),
      ...(terms.neighbors ? neighborFeeds(scoringLayers, terms.neighbors, cloner) : {}),
      ...(terms.map ? positionFeeds(scoringLayers, terms.map, cloner) : {}),
      ...clonerFeeds(layout, cloner),
    }),
    layerFeeds: terms.map ? layerFeeds(scoringLayers, cloner) : {},
  };
}

/** Returns the score of a typical good image, which is subtracted from every score. */
function offsetOf({ value, direction, neighbors, typical, map }: Terms): number {
  const sum = (weights: readonly number[], discrepancies: readonly number[]): number =>
    weights.reduce((total, weight, layer) => total + weight * (discrepancies[layer] ?? 0), 0);
  return (
    sum(value, typical.value) +
    sum(direction, typical.direction) +
    (neighbors ? sum(neighbors.weights, neighbors.typical) : 0) +
    (map?.weight ?? 0) * typical.peak
  );
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

function layerFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Scorer['layerFeeds'] {
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
