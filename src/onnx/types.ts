/** The vocabulary of a graph: element types, dimensions (symbolic ones too), constant tensors, attributes. */

/** Element types, by the names onnxruntime uses. */
export type DataType = 'float32' | 'float16' | 'uint8' | 'int64' | 'bool';

/** A dimension: a size, a symbol such as `N`, or a product of both such as `256*N`. */
export type Dim = number | string;

export type Shape = readonly Dim[];

/** A tensor that is part of the model. float16 as its bits; int64 as bigint. */
export type ConstantTensor =
  | { readonly type: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly type: 'float16'; readonly shape: readonly number[]; readonly data: Uint16Array }
  | { readonly type: 'uint8' | 'bool'; readonly shape: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'int64'; readonly shape: readonly number[]; readonly data: BigInt64Array };

/** An ONNX attribute. Integers and floats are told apart by the operator that sets them. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string };

export type Attributes = Readonly<Record<string, Attribute>>;

/** A graph that could not run, or a question the graph cannot answer; the message names the node. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
}
