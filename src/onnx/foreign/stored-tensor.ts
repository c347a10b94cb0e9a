/** Tensors as they are stored in ONNX files. */
import { halfToFloat } from '../float16.js';
import {
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
} from '../schema/onnx_pb.js';
import { type ConstantTensor, GraphError } from '../types.js';

/** What is read of a tensor in an ONNX file, a `TensorProto`. Its own type would bring protobuf into the public types. */
export interface StoredTensor {
  readonly name: string;
  readonly dims: readonly bigint[];
  readonly dataType: number;
  readonly dataLocation: number;
  readonly externalData: readonly unknown[];
  readonly rawData: Uint8Array;
  readonly floatData: readonly number[];
  readonly doubleData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly bigint[];
}

/** Decodes a tensor. Converts to the types our operators accept: float16 and float64 to float32, int32 to int64. */
export function decodeTensor(tensor: StoredTensor): ConstantTensor {
  const { name, dataType } = tensor;
  const shape = tensor.dims.map(Number);
  if (tensor.dataLocation === DataLocation.EXTERNAL || tensor.externalData.length > 0) {
    throw new GraphError(
      `tensor '${name}' is stored in another file; export the model with its weights inside`,
    );
  }
  const raw = Uint8Array.from(tensor.rawData).buffer;
  const stored = raw.byteLength > 0;
  switch (dataType) {
    case DataType.FLOAT:
      return { type: 'float32', shape, data: new Float32Array(stored ? raw : tensor.floatData) };
    case DataType.DOUBLE: {
      const data = stored ? new Float64Array(raw) : tensor.doubleData;
      return { type: 'float32', shape, data: Float32Array.from(data) };
    }
    case DataType.INT64:
      return { type: 'int64', shape, data: new BigInt64Array(stored ? raw : tensor.int64Data) };
    case DataType.INT32: {
      const data = stored ? new Int32Array(raw) : tensor.int32Data;
      return { type: 'int64', shape, data: BigInt64Array.from(data, BigInt) };
    }
    case DataType.BOOL:
      return { type: 'bool', shape, data: stored ? new Uint8Array(raw) : Uint8Array.from(tensor.int32Data) };
    case DataType.FLOAT16: {
      const bits = stored ? new Uint16Array(raw) : Uint16Array.from(tensor.int32Data);
      return { type: 'float32', shape, data: halfToFloat(bits) };
    }
  }
  throw new GraphError(
    `tensor '${name}' has element type ${DataType[dataType] ?? dataType}; wanted FLOAT, DOUBLE, FLOAT16, INT64, INT32 or BOOL`,
  );
}
