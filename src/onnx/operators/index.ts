/**
 * The operators we emit, one function each, named as in the ONNX specification (opset 18), in the same families as
 * their gradients (src/autodiff). A function checks what the runtime would check, infers type and shape of the result,
 * and adds the node. It throws a GraphError that names the operator if the node could not run.
 */
import type { NodeSink } from '../value.js';
import { convolutionOperators } from './convolution.js';
import { elementwiseOperators } from './elementwise.js';
import { poolingOperators } from './pooling.js';
import { productOperators } from './products.js';
import { reductionOperators } from './reductions.js';
import { shapeOperators } from './shapes.js';

export type { ConvAttributes } from './convolution.js';
export { dataTypeNumbers } from './elementwise.js';
export { maxPoolIndices } from './pooling.js';

/** Everything we emit has a CUDA kernel at this version; see test/onnx/cuda-kernels.json. */
export const opset = 18;

export type Operators = ReturnType<typeof operatorsOn>;

export function operatorsOn(graph: NodeSink) {
  return {
    ...elementwiseOperators(graph),
    ...shapeOperators(graph),
    ...reductionOperators(graph),
    ...convolutionOperators(graph),
    ...poolingOperators(graph),
    ...productOperators(graph),
  };
}
