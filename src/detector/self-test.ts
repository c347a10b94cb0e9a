/** The self-test of a detector as data: images, and the scores and maps expected on any machine. */
import { type InputSize, sidesOf } from '../imaging/index.js';
import { floatTensor, type TensorMap } from '../weights/safetensors.js';
import { DetectorError } from './detector-error.js';
import type { Manifest } from './manifest.js';

export interface SelfTest {
  /** uint8 [count, height, width, 3] */
  readonly images: Uint8Array;
  readonly count: number;
  readonly scores: Float32Array;
  /** [count, L] */
  readonly value: Float32Array;
  /** [count, L] */
  readonly direction: Float32Array;
  /** [count, height, width], by the detector's own localization method */
  readonly maps: Float32Array;
}

/** Tolerances for other processors, and for the shorter mantissa of CUDA convolutions. */
export const selfTestTolerance: Manifest['selfTest']['tolerance'] = {
  cpu: { score: 1e-4, map: 1e-2 },
  cuda: { score: 1e-2, map: 1e-1 },
};

/** Returns the tensors of a self-test's file. */
export function selfTestTensors(
  { images, count, scores, value, direction, maps }: SelfTest,
  inputSize: InputSize,
): TensorMap {
  const { width, height } = sidesOf(inputSize);
  const layers = value.length / count;
  return new Map([
    ['images', { type: 'uint8', shape: [count, height, width, 3], data: images }],
    ['scores', { type: 'float32', shape: [count], data: scores }],
    ['value', { type: 'float32', shape: [count, layers], data: value }],
    ['direction', { type: 'float32', shape: [count, layers], data: direction }],
    ['maps', { type: 'float32', shape: [count, height, width], data: maps }],
  ]);
}

/** Reads a self-test from its tensors. @throws DetectorError if they do not fit the manifest. */
export function parseSelfTest(tensors: TensorMap, { inputSize, scoringLayers }: Manifest): SelfTest {
  const { width, height } = sidesOf(inputSize);
  const images = tensors.get('images');
  const count = images?.shape[0] ?? 0;
  if (images?.type !== 'uint8' || count === 0 || images.data.length !== count * width * height * 3) {
    throw new DetectorError(`the self-test has no images of ${width} x ${height} pixels`);
  }
  const floats = (name: string, length: number): Float32Array => {
    const { data } = floatTensor(tensors, name);
    if (data.length === length) return data;
    throw new DetectorError(`the self-test's ${name} has ${data.length} entries; expected ${length}`);
  };
  return {
    images: images.data,
    count,
    scores: floats('scores', count),
    value: floats('value', count * scoringLayers.length),
    direction: floats('direction', count * scoringLayers.length),
    maps: floats('maps', count * width * height),
  };
}
