/** A detector's inputs to the serving graph: folded weights, discrepancy weights, statistics of good images. */
import type { InputShape, RegionOfInterest } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import { compact, float32 } from '../runtime/index.js';
import type { TensorMap } from '../weights/safetensors.js';
import { servedCloner } from './cloners/index.js';
import { DetectorError } from './detector-error.js';
import type { Scorer } from './loaded-detector.js';
import type { Terms } from './manifest.js';
import type { ServingShape } from './serving-model.js';

const { inputs, storedNames } = tensorNames;

/**
 * Builds a scorer from a cloner and its terms.
 * @param cloner its tensors.
 * @throws DetectorError if its tensors do not fit.
 */
export function assembleScorer(
  shape: ServingShape,
  terms: Terms,
  cloner: TensorMap,
  { tiling, range, fit }: Pick<InputShape, 'tiling' | 'range' | 'fit'> = {},
): Scorer {
  const vector = (numbers: readonly number[]) => float32([numbers.length], numbers);
  const offset = offsetOf(terms);
  return {
    shape,
    input: { inputSize: shape.inputSize, tiling, range, fit, region: regionAmong(cloner) },
    feeds: compact({
      [inputs.valueWeights]: vector(terms.value),
      [inputs.directionWeights]: vector(terms.direction),
      [inputs.scoreOffset]: float32([], [offset]),
      ...servedCloner(shape.cloner).feeds(terms, cloner),
    }),
  };
}

/** Returns a detector's region of interest as a tensor, to be stored with its cloner. */
export function regionTensor({ width, height, inside }: RegionOfInterest): [string, ConstantTensor] {
  return [storedNames.region, { type: 'uint8', shape: [height, width], data: inside }];
}

function regionAmong(cloner: TensorMap): RegionOfInterest | undefined {
  const tensor = cloner.get(storedNames.region);
  if (!tensor) return undefined;
  const [height = 0, width = 0] = tensor.shape;
  if (tensor.type !== 'uint8')
    throw new DetectorError(`the cloner's ${storedNames.region} is ${tensor.type}`);
  // Every thread that decodes images reads it.
  const inside = new Uint8Array(new SharedArrayBuffer(tensor.data.length));
  inside.set(tensor.data);
  return { width, height, inside };
}

/** Returns the score of a typical good image, which is subtracted from every score. */
function offsetOf({ value, direction, typical }: Terms): number {
  const sum = (weights: readonly number[], discrepancies: readonly number[]): number =>
    weights.reduce((total, weight, layer) => total + weight * (discrepancies[layer] ?? 0), 0);
  return sum(value, typical.value) + sum(direction, typical.direction);
}
