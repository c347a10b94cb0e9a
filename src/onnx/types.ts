/** Basic types of a graph: element types, dimensions (also symbolic ones), constant tensors, attributes. */

/** Element types, named as in onnxruntime. */
export type DataType = 'float32' | 'float16' | 'uint8' | 'int64' | 'bool';

/** A dimension: a size, a symbol such as `N`, or a product such as `256*N`. */
export type Dim = number | string;

export type Shape = readonly Dim[];

/** A tensor stored in the model. float16 is held as bits, int64 as bigint. */
export type ConstantTensor =
  | { readonly type: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly type: 'float16'; readonly shape: readonly number[]; readonly data: Uint16Array }
  | { readonly type: 'uint8' | 'bool'; readonly shape: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'int64'; readonly shape: readonly number[]; readonly data: BigInt64Array };

/** An ONNX attribute. The operator that sets it decides between integer and float. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string };

export type Attributes = Readonly<Record<string, Attribute>>;

/** The graph cannot run, or cannot be differentiated. The message names the node. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
}
