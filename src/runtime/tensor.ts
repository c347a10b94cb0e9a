/** Input and output tensors of a graph. */
import { type ConstantTensor, halfToFloat } from '../onnx/index.js';

/** A tensor in host memory, row-major. */
export type Tensor =
  | { readonly type: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array }
  /** As stored: where graphs run, it becomes float32. */
  | { readonly type: 'float16'; readonly dims: readonly number[]; readonly data: Uint16Array }
  | { readonly type: 'uint8' | 'bool'; readonly dims: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'int64'; readonly dims: readonly number[]; readonly data: BigInt64Array };

/** Tensors by name of the graph's input or output. */
export type Tensors = Readonly<Record<string, Tensor>>;

export function float32(dims: readonly number[], data: Float32Array | readonly number[]): Tensor {
  return { type: 'float32', dims, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

export function uint8(dims: readonly number[], data: Uint8Array): Tensor {
  return { type: 'uint8', dims, data };
}

/** Returns a bool scalar. */
export function bool(value: boolean): Tensor {
  return { type: 'bool', dims: [], data: Uint8Array.of(value ? 1 : 0) };
}

/** Returns the elements of a float32 output. @throws Error if the graph has no such output. */
export function float32Data(tensors: Tensors, name: string): Float32Array {
  const tensor = tensors[name];
  if (tensor?.type !== 'float32') throw new Error(`the graph has no float32 output '${name}'`);
  return tensor.data;
}

/** Concatenates arrays. */
export function concatenated(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Copies tensors that are views of a much larger buffer: posting a view to a worker copies the whole buffer, and keeping a
 * view keeps the whole buffer in memory. The weights of a detector are most of its file, and stay views of it.
 */
export function compact(feeds: Tensors): Tensors {
  const used = new Map<ArrayBufferLike, number>();
  for (const { data } of Object.values(feeds)) {
    used.set(data.buffer, (used.get(data.buffer) ?? 0) + data.byteLength);
  }
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const { buffer } = tensor.data;
      const isMostOfIt = 2 * (used.get(buffer) as number) > buffer.byteLength;
      return [name, isMostOfIt ? tensor : ({ ...tensor, data: sliceOf(tensor.data) } as Tensor)];
    }),
  );
}

function sliceOf(data: Tensor['data']): Tensor['data'] {
  // Buffer.prototype.slice would return another view.
  return data instanceof Uint8Array ? Uint8Array.from(data) : data.slice();
}

/** Returns tensors as sessions take them: float16 as float32, and none of them a view of a larger buffer. */
export function sessionInputs(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { type, dims, data } = tensor;
      if (type === 'float16') return [name, float32(dims, halfToFloat(data))];
      const isWhole = data.byteLength === data.buffer.byteLength;
      return [name, isWhole ? tensor : ({ ...tensor, data: sliceOf(data) } as Tensor)];
    }),
  );
}

/** Converts tensors to constants of a model. */
export function asConstants(tensors: Tensors): Record<string, ConstantTensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { type, dims, data }]) => [
      name,
      { type, shape: dims, data } as ConstantTensor,
    ]),
  );
}
