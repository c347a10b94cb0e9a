/** Conversion of what transformers use to our operators, which have gradients. */
import { normalAxis } from '../shapes.js';
import { knownShape, type Value } from '../value.js';
import type { ForeignNode } from './node.js';

/** Takes entries along an axis: one, or several next to each other. */
export function gather(node: ForeignNode): readonly Value[] {
  const x = node.input(0);
  const axis = axisOf(node, x, node.int('axis', 0));
  const size = sizeAlong(node, x, axis);
  const places = node.constantInput(1).map((at) => (at < 0 ? at + size : at));
  const [first = 0] = places;
  if (places.some((place, index) => place !== first + index)) {
    throw node.refusal(`it takes the entries ${places.join(', ')}; wanted one, or several in a row`);
  }
  const taken = node.op.Slice(x, [first], [first + places.length], [axis]);
  return [node.known(1)?.shape.length === 0 ? node.op.Squeeze(taken, [axis]) : taken];
}

/** x times the share of a normal distribution below it (Hendrycks and Gimpel 2016), exact or by a tanh. */
export function gelu(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const x = node.input(0);
  const half = op.Mul(x, graph.scalar(0.5));
  if (node.text('approximate', 'none') === 'none') {
    const share = op.Erf(op.Mul(x, graph.scalar(Math.SQRT1_2)));
    return [op.Mul(half, op.Add(share, graph.scalar(1)))];
  }
  const cube = op.Mul(op.Mul(x, x), x);
  const inner = op.Add(x, op.Mul(cube, graph.scalar(0.044715)));
  const share = op.Tanh(op.Mul(inner, graph.scalar(Math.sqrt(2 / Math.PI))));
  return [op.Mul(half, op.Add(share, graph.scalar(1)))];
}

/** (x - mean) / deviation * scale + bias, over the last axes. */
export function layerNormalization(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const x = node.input(0);
  const from = axisOf(node, x, node.int('axis', -1));
  const axes = [...x.shape.keys()].slice(from);
  const centered = op.Sub(x, op.ReduceMean(x, axes));
  const variance = op.ReduceMean(op.Mul(centered, centered), axes);
  const deviation = op.Sqrt(op.Add(variance, graph.scalar(node.float('epsilon', 1e-5))));
  const scaled = op.Mul(op.Div(centered, deviation), node.input(1));
  const bias = node.optional(2);
  return [bias ? op.Add(scaled, bias) : scaled];
}

/** Powers with whole exponents up to 4, and the square root. */
export function power(node: ForeignNode): readonly Value[] {
  const { op } = node;
  const x = node.input(0);
  const [exponent = 0, ...more] = node.constantInput(1);
  if (exponent === 0.5) return [op.Sqrt(x)];
  if (more.length > 0 || ![1, 2, 3, 4].includes(exponent)) {
    throw node.refusal(`the exponent ${exponent} is not supported; wanted 0.5, 1, 2, 3 or 4`);
  }
  let result = x;
  for (let times = 1; times < exponent; times++) result = op.Mul(result, x);
  return [result];
}

/** Cuts a tensor along an axis. */
export function split(node: ForeignNode): readonly Value[] {
  const x = node.input(0);
  const axis = axisOf(node, x, node.int('axis', 0));
  const size = sizeAlong(node, x, axis);
  const count = node.int('num_outputs', node.outputs);
  const even = Math.ceil(size / count);
  const sizes =
    node.ints('split') ??
    (node.has(1)
      ? node.constantInput(1)
      : Array.from({ length: count }, (_, part) => Math.min(even, size - part * even)));
  let start = 0;
  return sizes.map((length) => {
    start += length;
    return node.op.Slice(x, [start - length], [start], [axis]);
  });
}

/** Returns the shape of a Reshape, in which the size of the batch is 0, the size that it has, or -1, what is left. */
export function reshapeTarget(node: ForeignNode): number[] {
  const { shape } = node.input(0);
  const sizes = node.sizes(1);
  const target = sizes.map((size, axis) => (typeof size === 'number' ? size : shape[axis] === size ? 0 : -1));
  if (target.filter((size) => size === -1).length <= 1) return target;
  throw node.refusal(`the shape [${sizes.join(', ')}] is not supported`);
}

function axisOf(node: ForeignNode, { shape }: Value, axis: number): number {
  const normal = normalAxis(axis, shape.length);
  if (normal !== undefined) return normal;
  throw node.refusal(`there is no axis ${axis}`);
}

function sizeAlong(node: ForeignNode, x: Value, axis: number): number {
  const [size] = knownShape({ ...x, shape: x.shape.slice(axis, axis + 1) }, node.where) as [number];
  return size;
}
