/** Builds ONNX graphs: typed operators, shape inference, protobuf. */

export { encodeModel } from './encode.js';
export { floatToHalf, halfToFloat } from './float16.js';
export { addForeignModel, decodeModel, type ForeignModel, valueNames } from './foreign/decode.js';
export { Graph } from './graph.js';
export { type ConvAttributes, maxPoolIndices, opset } from './operators/index.js';
export { divide, sameShape } from './shapes.js';
export { type ConstantTensor, type DataType, type Dim, GraphError, type Shape } from './types.js';
export { describe, knownShape, type Node, type Value, type ValueInfo } from './value.js';
