/** The inputs of a linear cloner's serving graph, from its tensors on disk. */
import { type Span, tensorNames } from '../../networks/index.js';
import { float32, type Tensor, type Tensors } from '../../runtime/index.js';
import { floatTensor, type TensorMap } from '../../weights/safetensors.js';
import { DetectorError } from '../detector-error.js';
import type { Terms } from '../manifest.js';
import { type LinearCloner, linearTensors, type SizedSpan, spansOf } from './linear-cloner.js';

const { inputs } = tensorNames;

/** Returns the inputs that a detector has for all images. @throws DetectorError if its tensors do not fit. */
export function linearFeeds(cloner: LinearCloner, terms: Terms, tensors: TensorMap): Tensors {
  return {
    [inputs.valueTypical]: float32([terms.typical.value.length], terms.typical.value),
    ...Object.fromEntries(spansOf(cloner).flatMap((span) => spanFeeds(span, tensors))),
    ...Object.fromEntries(
      cloner.spans.map((span) => [linearTensors.rest(span), scalar(tensors, linearTensors.rest(span))]),
    ),
    ...localFeeds(cloner, tensors),
    ...windowFeeds(tensors),
    [inputs.mapMean]: scalar(tensors, linearTensors.mapMean),
    [inputs.mapDeviation]: scalar(tensors, linearTensors.mapDeviation),
  };
}

function windowFeeds(tensors: TensorMap): Tensors {
  const mean = floatTensor(tensors, linearTensors.windowMean);
  const whitening = floatTensor(tensors, linearTensors.windowWhitening);
  const channels = mean.data.length;
  if (whitening.data.length !== channels ** 2) {
    throw new DetectorError(
      `the cloner's ${linearTensors.windowWhitening} is [${whitening.shape.join(', ')}]`,
    );
  }
  return {
    [linearTensors.windowMean]: float32([channels], mean.data),
    [linearTensors.windowWhitening]: float32([channels, channels], whitening.data),
  };
}

function scalar(tensors: TensorMap, name: string): Tensor {
  return float32([], floatTensor(tensors, name).data);
}

/** Returns a span's inputs; directions that the good images do not have are 0. */
function spanFeeds(span: SizedSpan, tensors: TensorMap): [string, Tensor][] {
  const mean = floatTensor(tensors, linearTensors.mean(span));
  const basis = basisOf(span, tensors);
  const kept = floatTensor(tensors, linearTensors.kept(span));
  const [size = 0, count = 0] = basis.dims;
  if (size !== mean.data.length || count !== kept.data.length || count > span.components) {
    throw new DetectorError(`the cloner's ${linearTensors.basis(span)} is [${basis.dims.join(', ')}]`);
  }
  const all = new Float32Array(span.components);
  all.set(kept.data);
  return [
    [linearTensors.mean(span), float32(mean.shape, mean.data)],
    [linearTensors.basis(span), withColumns(basis, span.components)],
    [linearTensors.kept(span), float32([span.components], all)],
  ];
}

/** Returns a basis, which is large, in the type in which it is stored. */
function basisOf(span: Span, tensors: TensorMap): Matrix {
  const name = linearTensors.basis(span);
  const stored = tensors.get(name);
  if (stored?.type === 'float16') return { type: 'float16', dims: stored.shape, data: stored.data };
  const { shape, data } = floatTensor(tensors, name);
  return { type: 'float32', dims: shape, data };
}

type Matrix = Extract<Tensor, { readonly type: 'float16' | 'float32' }>;

/** Adds columns of zeros to a matrix. */
function withColumns(matrix: Matrix, columns: number): Matrix {
  const [rows = 0, from = 0] = matrix.dims;
  if (from === columns) return matrix;
  const spread = <Data extends Matrix['data']>(narrow: Data, wide: Data): Data => {
    for (let row = 0; row < rows; row++) {
      wide.set(narrow.subarray(row * from, (row + 1) * from), row * columns);
    }
    return wide;
  };
  const dims = [rows, columns];
  return matrix.type === 'float16'
    ? { type: 'float16', dims, data: spread(matrix.data, new Uint16Array(rows * columns)) }
    : { type: 'float32', dims, data: spread(matrix.data, new Float32Array(rows * columns)) };
}

function localFeeds({ local }: LinearCloner, tensors: TensorMap): Tensors {
  const mean = floatTensor(tensors, linearTensors.localMean);
  const inverse = floatTensor(tensors, linearTensors.localInverseDeviation);
  const basis = floatTensor(tensors, linearTensors.localBasis);
  const channels = mean.data.length;
  if (basis.data.length > local.components * channels || basis.data.length % channels !== 0) {
    throw new DetectorError(`the cloner's ${linearTensors.localBasis} is [${basis.shape.join(', ')}]`);
  }
  const padded = new Float32Array(local.components * channels);
  padded.set(basis.data);
  return {
    [linearTensors.localMean]: float32([channels], mean.data),
    [linearTensors.localInverseDeviation]: float32([channels], inverse.data),
    [linearTensors.localBasis]: float32([local.components, channels, 1, 1], padded),
  };
}
