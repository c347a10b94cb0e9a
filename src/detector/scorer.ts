/** A detector's inputs to the serving graph: folded weights, discrepancy weights, statistics of good images. */
import type { InputShape } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import { float32, shared } from '../runtime/index.js';
import type { TensorMap } from '../weights/safetensors.js';
import { servedCloner } from './cloners/index.js';
import type { Scorer } from './loaded-detector.js';
import type { Terms } from './manifest.js';
import type { ServingShape } from './serving-model.js';

const { inputs } = tensorNames;

/**
 * Builds a scorer from a cloner and its terms.
 * @param cloner its tensors. If the nearest good image counts, they include the neighbors of each scoring layer; if
 * positions are compared, the statistics of channels and maps ({@link stored}).
 * @throws DetectorError if its tensors do not fit.
 */
export function assembleScorer(
  shape: ServingShape,
  terms: Terms,
  cloner: TensorMap,
  { tiling, range }: Pick<InputShape, 'tiling' | 'range'> = {},
): Scorer {
  const served = servedCloner(shape.cloner);
  const vector = (numbers: readonly number[]) => float32([numbers.length], numbers);
  const offset = offsetOf(terms);
  return {
    shape,
    input: { inputSize: shape.inputSize, tiling, range },
    feeds: shared({
      [inputs.valueWeights]: vector(terms.value),
      [inputs.directionWeights]: vector(terms.direction),
      [inputs.scoreOffset]: float32([], [offset]),
      ...served.feeds(shape, terms, cloner),
    }),
    layerFeeds: served.layerFeeds(shape, terms, cloner),
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
