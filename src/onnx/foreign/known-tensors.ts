/**
 * What of an imported model is known before it runs: stored tensors, shapes, and what is computed from them. Exporters leave
 * much arithmetic on shapes in a model, and transformers resize their position embeddings. Sizes may be symbols, such as
 * that of the batch.
 */

import { divide, elementCount, sliceRange } from '../shapes.js';
import { type ConstantTensor, type Dim, GraphError } from '../types.js';
import {
  broadcasting,
  countOf,
  type Folding,
  given,
  hasSymbols,
  type KnownAttributes,
  type KnownTensor,
  numbersOf,
  picked,
  strided,
} from './known-arrays.js';
import { resized } from './known-resize.js';

export function knownConstant({ type, shape, data }: ConstantTensor): KnownTensor {
  if (type === 'int64') return { type: 'int', shape, data: Array.from(data, Number) };
  return { type: type === 'bool' ? 'bool' : 'float', shape, data };
}

/** Returns the sizes of a value, as a known tensor. */
export function knownSizes(shape: readonly Dim[]): KnownTensor {
  return { type: 'int', shape: [shape.length], data: shape };
}

/** Returns a known tensor as one that a graph can store. @throws GraphError if it has symbols. */
export function storedTensor({ type, shape, data }: KnownTensor, name: string): ConstantTensor {
  // Weights, of which there are millions, are as they were.
  if (type === 'float' && data instanceof Float32Array) return { type: 'float32', shape, data };
  const numbers = Array.from(data, (value) => {
    if (typeof value === 'number') return value;
    throw new GraphError(`'${name}' depends on the size of the batch, ${value}; this is not supported here`);
  });
  if (type === 'int') return { type: 'int64', shape, data: BigInt64Array.from(numbers, BigInt) };
  if (type === 'bool') return { type: 'bool', shape, data: Uint8Array.from(numbers) };
  return { type: 'float32', shape, data: Float32Array.from(numbers) };
}

/** Computes a node from known inputs. @returns undefined if its operator is not one of those that are. */
export function fold(
  operator: string,
  inputs: readonly (KnownTensor | undefined)[],
  attributes: KnownAttributes,
): KnownTensor | undefined {
  return foldings[operator]?.(inputs, attributes);
}

const foldings: Readonly<Record<string, Folding>> = {
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise(
    (a, b) => a * b,
    (a, b) => elementCount([a, b]),
  ),
  Div: elementwise(
    (a, b, isInt) => (isInt ? Math.trunc(a / b) : a / b),
    (a, b) => divide([a], [b]),
  ),
  Pow: elementwise((a, b) => a ** b),
  Equal: comparing((a, b) => a === b),
  Sqrt: unary(Math.sqrt),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Neg: unary((value) => -value),
  Identity: ([x]) => given(x),
  Cast: ([x], attributes) => {
    const { type, shape, data } = given(x);
    // Of TensorProto.DataType: floating-point types are 1, 10 and 11, bool is 9.
    const to = attributes.int('to', 1);
    const wanted = [1, 10, 11].includes(to) ? 'float' : to === 9 ? 'bool' : 'int';
    const cut = type === 'float' && wanted === 'int';
    return { type: wanted, shape, data: cut ? Array.from(data, (value) => Math.trunc(Number(value))) : data };
  },
  Unsqueeze: ([x, axes], attributes) => {
    const { shape, ...rest } = given(x);
    const at = axes ? numbersOf(axes) : (attributes.ints('axes') ?? []);
    const rank = shape.length + at.length;
    const added = at.map((axis) => (axis < 0 ? axis + rank : axis));
    const left = [...shape];
    const result = Array.from({ length: rank }, (_, axis) =>
      added.includes(axis) ? 1 : (left.shift() as number),
    );
    return { ...rest, shape: result };
  },
  Squeeze: ([x, axes], attributes) => {
    const { shape, ...rest } = given(x);
    const at = axes ? numbersOf(axes) : attributes.ints('axes');
    const dropped = at?.map((axis) => (axis < 0 ? axis + shape.length : axis));
    return { ...rest, shape: shape.filter((size, axis) => (dropped ? !dropped.includes(axis) : size !== 1)) };
  },
  Reshape: ([x, target]) => {
    const { shape, ...rest } = given(x);
    const count = rest.data.length;
    const wanted = numbersOf(given(target)).map((size, axis) => (size === 0 ? (shape[axis] ?? 0) : size));
    const product = wanted.reduce((all, size) => (size === -1 ? all : all * size), 1);
    return { ...rest, shape: wanted.map((size) => (size === -1 ? count / product : size)) };
  },
  Concat: (inputs, attributes) => {
    const parts = inputs.map(given);
    const [first] = parts as [KnownTensor];
    const rank = first.shape.length;
    const axis = (attributes.int('axis', 0) + rank) % rank;
    const size = parts.reduce((sum, { shape }) => sum + (shape[axis] as number), 0);
    const outer = first.shape.slice(0, axis).reduce((all, each) => all * each, 1);
    const data: Dim[] = [];
    for (let at = 0; at < outer; at++) {
      for (const part of parts) {
        const length = part.data.length / outer;
        for (let entry = 0; entry < length; entry++) data.push(part.data[at * length + entry] as Dim);
      }
    }
    return { type: first.type, shape: first.shape.map((each, at) => (at === axis ? size : each)), data };
  },
  Gather: ([x, indices], attributes) => {
    const { shape } = given(x);
    const { shape: wanted, data: at } = given(indices);
    const axis = (attributes.int('axis', 0) + shape.length) % shape.length;
    const size = shape[axis] as number;
    const places = Array.from(at, (index) => (Number(index) < 0 ? Number(index) + size : Number(index)));
    return picked(given(x), axis, places, wanted);
  },
  Slice: ([x, starts, ends, axes, steps], attributes) => {
    let result = given(x);
    const from = starts ? numbersOf(starts) : (attributes.ints('starts') ?? []);
    const to = ends ? numbersOf(ends) : (attributes.ints('ends') ?? []);
    const along = axes ? numbersOf(axes) : (attributes.ints('axes') ?? from.map((_, axis) => axis));
    const by = steps ? numbersOf(steps) : from.map(() => 1);
    for (const [index, named] of along.entries()) {
      const axis = named < 0 ? named + result.shape.length : named;
      const size = result.shape[axis] as number;
      const step = by[index] as number;
      const { first, count } = sliceRange(size, from[index] as number, to[index] as number, step);
      const places = Array.from({ length: count }, (_, at) => first + at * step);
      result = picked(result, axis, places, [places.length]);
    }
    return result;
  },
  Transpose: ([x], attributes) => {
    const { type, shape, data } = given(x);
    const perm = attributes.ints('perm') ?? shape.map((_, axis) => shape.length - 1 - axis);
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((all, each) => all * each, 1));
    const result = perm.map((axis) => shape[axis] as number);
    const steps = perm.map((axis) => strides[axis] as number);
    return { type, shape: result, data: strided(result, steps, data) };
  },
  Where: ([condition, a, b]) => {
    const [yes, no] = [given(a), given(b)];
    const { shape, at } = broadcasting([given(condition), yes, no]);
    const data = Array.from({ length: countOf(shape) }, (_, index) =>
      at(0, index) ? at(1, index) : at(2, index),
    );
    return { type: yes.type, shape, data };
  },
  ConstantOfShape: ([shape], attributes) => {
    const sizes = numbersOf(given(shape));
    const { type = 'float', data = [0] } = attributes.tensor('value') ?? {};
    return { type, shape: sizes, data: new Array<Dim>(countOf(sizes)).fill(data[0] as Dim) };
  },
  Range: ([start, limit, delta]) => {
    const [from, to, by] = [start, limit, delta].map((each) => numbersOf(given(each))[0] as number) as [
      number,
      number,
      number,
    ];
    const count = Math.max(0, Math.ceil((to - from) / by));
    return {
      type: given(start).type,
      shape: [count],
      data: Array.from({ length: count }, (_, at) => from + at * by),
    };
  },
  Expand: ([x, shape]) => {
    if (hasSymbols(given(shape))) return undefined;
    const known = given(x);
    const like = { type: 'int' as const, shape: numbersOf(given(shape)), data: [] };
    const { shape: result, at } = broadcasting([known, like]);
    return {
      type: known.type,
      shape: result,
      data: Array.from({ length: countOf(result) }, (_, index) => at(0, index)),
    };
  },
  Resize: resized,
};

function unary(of: (value: number) => number): Folding {
  return ([x]) => {
    const { type, shape } = given(x);
    return { type, shape, data: numbersOf(given(x)).map(of) };
  };
}

/** @param symbolic the same where one is a symbol; undefined if that cannot be told. */
function elementwise(
  of: (a: number, b: number, isInt: boolean) => number,
  symbolic: (a: Dim, b: Dim) => Dim | undefined = () => undefined,
): Folding {
  return ([a, b]) => {
    const { type } = given(a);
    const { shape, at } = broadcasting([given(a), given(b)]);
    const data = Array.from({ length: countOf(shape) }, (_, index) => {
      const [left, right] = [at(0, index), at(1, index)];
      if (typeof left === 'number' && typeof right === 'number') return of(left, right, type === 'int');
      const result = symbolic(left, right);
      if (result !== undefined) return result;
      throw new GraphError(`arithmetic with the size of the batch, ${left} and ${right}, is not supported`);
    });
    return { type, shape, data };
  };
}

function comparing(of: (a: Dim, b: Dim) => boolean): Folding {
  return ([a, b]) => {
    const { shape, at } = broadcasting([given(a), given(b)]);
    const data = Array.from({ length: countOf(shape) }, (_, index) =>
      of(at(0, index), at(1, index)) ? 1 : 0,
    );
    return { type: 'bool', shape, data };
  };
}
