/** What a detector feeds to the serving graph: folded weights, weights of the discrepancies, and what is typical of good images. */
import type { Tiling } from '../imaging/index.js';
import {
  type CriticalLayer,
  foldBatchNormalization,
  type Layout,
  runningStatistics,
  trainableParameters,
} from '../networks/index.js';
import { compact, float32, type Tensor, type Tensors } from '../runtime/index.js';
import { floatTensor, type TensorMap } from '../weights/safetensors.js';
import type { Scorer } from './loaded-detector.js';
import { DetectorError, type Terms } from './manifest.js';
import type { ServingShape } from './serving-model.js';

/**
 * A scorer from a cloner and how it is used.
 * @param cloner its tensors; where the nearest good image counts also `neighbors.<layer>` [C, K] of each scoring layer,
 * and where positions are compared `expert.<layer>.mean` and `.deviation`, `map.mean` and `map.deviation`, and the same
 * of each layer as `map.<layer>.mean`.
 * @throws DetectorError when its tensors do not fit its layout.
 */
export function assembleScorer(
  shape: ServingShape,
  terms: Terms,
  cloner: TensorMap,
  tiling?: Tiling,
): Scorer {
  const { layout, scoringLayers } = shape;
  checkCloner(layout, cloner);
  const vector = (numbers: readonly number[]) => float32([numbers.length], numbers);
  const offset = offsetOf(terms);
  return {
    shape,
    input: { inputSize: shape.inputSize, tiling },
    // The bytes of the file are not kept with them.
    feeds: compact({
      value_weights: vector(terms.value),
      direction_weights: vector(terms.direction),
      score_offset: float32([], [offset]),
      ...(terms.neighbors ? neighborFeeds(scoringLayers, terms.neighbors, cloner) : {}),
      ...(terms.map ? positionFeeds(scoringLayers, terms.map, cloner) : {}),
      ...clonerFeeds(layout, cloner),
    }),
    layerFeeds: terms.map ? layerFeeds(scoringLayers, cloner) : {},
  };
}

/** What good images score before it is taken off. */
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
  const feeds: Record<string, Tensor> = { neighbor_weights: float32([weights.length], weights) };
  for (const layer of layers) {
    const { shape, data } = floatTensor(tensors, `neighbors.${layer}`);
    feeds[`neighbors.${layer}`] = float32(shape, data);
  }
  return feeds;
}

function positionFeeds(
  layers: readonly CriticalLayer[],
  map: NonNullable<Terms['map']>,
  tensors: TensorMap,
): Tensors {
  return {
    position_weights: float32([map.layers.length], map.layers),
    map_weight: float32([], [map.weight]),
    ...placeFeeds(tensors, 'map'),
    ...standardizationFeeds(layers, tensors),
  };
}

/**
 * The inputs `mean.<layer>` and `inverse_deviation.<layer>` of graphs that compare positions.
 * @param tensors `expert.<layer>.mean` and `expert.<layer>.deviation`.
 */
export function standardizationFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Tensors {
  const feeds: Record<string, Tensor> = {};
  for (const layer of layers) {
    const { data: mean } = floatTensor(tensors, `expert.${layer}.mean`);
    const { data: deviation } = floatTensor(tensors, `expert.${layer}.deviation`);
    feeds[`mean.${layer}`] = float32([mean.length], mean);
    feeds[`inverse_deviation.${layer}`] = float32(
      [deviation.length],
      deviation.map((value) => 1 / value),
    );
  }
  return feeds;
}

/** What good images show at each place of a map. */
function placeFeeds(tensors: TensorMap, map: string): Tensors {
  const [mean, deviation] = [floatTensor(tensors, `${map}.mean`), floatTensor(tensors, `${map}.deviation`)];
  return {
    map_mean: float32(mean.shape, mean.data),
    map_deviation: float32(deviation.shape, deviation.data),
  };
}

function layerFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Scorer['layerFeeds'] {
  const known = layers.filter((layer) => tensors.has(`map.${layer}.mean`));
  return Object.fromEntries(
    known.map((layer) => {
      const only = layers.map((other) => (other === layer ? 1 : 0));
      const weights = { position_weights: float32([layers.length], only) };
      return [layer, compact({ ...weights, ...placeFeeds(tensors, `map.${layer}`) })];
    }),
  );
}

/** The inputs `cloner.<name>` of graphs with a cloner that no longer learns, its batch normalization folded in. */
export function clonerFeeds(layout: Layout, cloner: TensorMap): Tensors {
  const folded = foldBatchNormalization(layout, cloner);
  return Object.fromEntries(folded.map(({ name, shape, data }) => [`cloner.${name}`, float32(shape, data)]));
}

function checkCloner(layout: Layout, cloner: TensorMap): void {
  for (const { name, shape } of [...trainableParameters(layout), ...runningStatistics(layout)]) {
    const tensor = cloner.get(name);
    if (tensor?.shape.join() === shape.join()) continue;
    const found = tensor ? `[${tensor.shape.join(', ')}]` : 'missing';
    throw new DetectorError(`the cloner's ${name} is ${found}; its layout says [${shape.join(', ')}]`);
  }
}
