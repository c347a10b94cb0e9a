/** Shape arithmetic with symbolic dimensions: products, broadcasting, reshaping, sliding windows. */
import type { Dim, Shape } from './types.js';

/** A coefficient times symbols: the normal form for comparing dimensions. */
interface Product {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

function toProduct(dims: Shape): Product {
  let coefficient = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === 'number') {
      coefficient *= dim;
      continue;
    }
    for (const factor of dim.split('*')) {
      if (/^\d+$/.test(factor)) coefficient *= Number(factor);
      else symbols.push(factor);
    }
  }
  return { coefficient, symbols: symbols.sort() };
}

function fromProduct({ coefficient, symbols }: Product): Dim {
  if (symbols.length === 0) return coefficient;
  return coefficient === 1 ? symbols.join('*') : [coefficient, ...symbols].join('*');
}

/** Returns the number of elements of a shape as one dimension: `256*N` for `[N, 16, 16]`. */
export function elementCount(shape: Shape): Dim {
  return fromProduct(toProduct(shape));
}

/** Returns `total / part`, or undefined if `part` does not divide `total`. */
export function divide(total: Shape, part: Shape): Dim | undefined {
  const a = toProduct(total);
  const b = toProduct(part);
  if (b.coefficient === 0 || a.coefficient % b.coefficient !== 0) return undefined;
  const symbols = [...a.symbols];
  for (const symbol of b.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  return fromProduct({ coefficient: a.coefficient / b.coefficient, symbols });
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** Returns the shape after NumPy broadcasting; undefined if the shapes do not broadcast. */
export function broadcast(a: Shape, b: Shape): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) result.push(left);
    else if (left === 1) result.push(right);
    else return undefined;
  }
  return result;
}

/** Returns the shape after Reshape: 0 copies a dimension, one -1 is inferred. Undefined if the sizes differ. */
export function reshape(from: Shape, target: readonly number[]): Dim[] | undefined {
  const result: Dim[] = [];
  let open = -1;
  for (const [axis, size] of target.entries()) {
    if (size === -1) {
      if (open >= 0) return undefined;
      open = axis;
      result.push(1);
    } else if (size === 0) {
      const copied = from[axis];
      if (copied === undefined) return undefined;
      result.push(copied);
    } else {
      result.push(size);
    }
  }
  if (open >= 0) {
    const left = divide(from, result);
    if (left === undefined) return undefined;
    result[open] = left;
    return result;
  }
  return elementCount(from) === elementCount(result) ? result : undefined;
}

/** Returns the output size of a sliding window along one axis (Conv, MaxPool with ceil_mode 0). */
export function windowSize(
  size: number,
  kernel: number,
  stride: number,
  padBegin: number,
  padEnd: number,
  dilation: number,
): number {
  return Math.floor((size + padBegin + padEnd - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** Returns the axis counted from the front; undefined if it is out of range. */
export function normalAxis(axis: number, rank: number): number | undefined {
  const normal = axis < 0 ? axis + rank : axis;
  return Number.isInteger(normal) && normal >= 0 && normal < rank ? normal : undefined;
}

/** Returns the first place that a Slice takes along an axis, and how many it takes. @param step not 0 */
export function sliceRange(
  size: number,
  start: number,
  end: number,
  step: number,
): { readonly first: number; readonly count: number } {
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  const [first, last] =
    step > 0
      ? [clamp(from, 0, size), clamp(to, 0, size)]
      : [clamp(from, 0, size - 1), clamp(to, -1, size - 1)];
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
