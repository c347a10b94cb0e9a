/** Tensors that are known while a model is imported, and how their entries are found. */
import { type Dim, GraphError } from '../types.js';

/** A tensor that is known. Only integers may be symbols. */
export interface KnownTensor {
  readonly type: 'float' | 'int' | 'bool';
  readonly shape: readonly number[];
  /** Row by row. */
  readonly data: ArrayLike<Dim>;
}

/** Attributes of a node, as far as they matter here. */
export interface KnownAttributes {
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  ints(name: string): number[] | undefined;
  text(name: string, fallback: string): string;
  tensor(name: string): KnownTensor | undefined;
}

export type Folding = (
  inputs: readonly (KnownTensor | undefined)[],
  attributes: KnownAttributes,
) => KnownTensor | undefined;

export function given(tensor: KnownTensor | undefined): KnownTensor {
  if (tensor) return tensor;
  throw new GraphError('an input is missing');
}

export function hasSymbols({ data }: KnownTensor): boolean {
  return Array.from(data).some((value) => typeof value === 'string');
}

/** @throws GraphError if one is a symbol. */
export function numbersOf({ data }: KnownTensor): number[] {
  return Array.from(data, (value) => {
    if (typeof value === 'number') return value;
    throw new GraphError(`arithmetic with the size of the batch, ${value}, is not supported here`);
  });
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** Returns the shape that tensors have together, and what finds the entry of one of them for a place in it. */
export function broadcasting(tensors: readonly KnownTensor[]) {
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  const shape = Array.from({ length: rank }, (_, axis) =>
    Math.max(...tensors.map((tensor) => tensor.shape[axis - rank + tensor.shape.length] ?? 1)),
  );
  const at = (which: number, index: number): Dim => {
    const { shape: own, data } = tensors[which] as KnownTensor;
    let [rest, place, stride] = [index, 0, 1];
    for (let axis = rank - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      const ownSize = own[axis - rank + own.length] ?? 1;
      if (ownSize > 1) place += (rest % size) * stride;
      stride *= ownSize;
      rest = Math.floor(rest / size);
    }
    return data[place] as Dim;
  };
  return { shape, at };
}

/** Takes some places along an axis. @param shape that the axis becomes. */
export function picked(
  { type, shape, data }: KnownTensor,
  axis: number,
  places: readonly number[],
  wanted: readonly number[],
): KnownTensor {
  const size = shape[axis] as number;
  const inner = countOf(shape.slice(axis + 1));
  const outer = countOf(shape.slice(0, axis));
  const result: Dim[] = [];
  for (let at = 0; at < outer; at++) {
    for (const place of places) {
      for (let entry = 0; entry < inner; entry++) {
        result.push(data[(at * size + place) * inner + entry] as Dim);
      }
    }
  }
  return { type, shape: [...shape.slice(0, axis), ...wanted, ...shape.slice(axis + 1)], data: result };
}

export function strided(shape: readonly number[], steps: readonly number[], data: ArrayLike<Dim>): Dim[] {
  return Array.from({ length: countOf(shape) }, (_, index) => {
    let [rest, place] = [index, 0];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % (shape[axis] as number)) * (steps[axis] as number);
      rest = Math.floor(rest / (shape[axis] as number));
    }
    return data[place] as Dim;
  });
}
