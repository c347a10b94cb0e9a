/**
 * Conversion of imported nodes to our operators. Operators without a gradient rule are expressed by operators that have
 * one if possible: batch normalization becomes a scale and a shift, average pooling a convolution.
 */

import type { Value } from '../value.js';
import type { ForeignNode } from './node.js';
import { gather, gelu, layerNormalization, power, reshapeTarget, split } from './transformers.js';
import { averagePool, windowOf } from './windows.js';

type Addition = (node: ForeignNode) => readonly Value[];

const unary =
  (
    operator:
      | 'Relu'
      | 'Sigmoid'
      | 'Tanh'
      | 'Erf'
      | 'Exp'
      | 'Log'
      | 'Identity'
      | 'Abs'
      | 'Neg'
      | 'Sqrt'
      | 'Reciprocal',
  ): Addition =>
  (node) => [node.op[operator](node.input(0))];

const binary =
  (operator: 'Add' | 'Sub' | 'Mul' | 'Div' | 'MatMul'): Addition =>
  (node) => [node.op[operator](node.input(0), node.input(1))];

const variadic =
  (operator: 'Max' | 'Min' | 'Add'): Addition =>
  (node) => [
    Array.from({ length: node.inputs }, (_, index) => node.input(index)).reduce((a, b) =>
      node.op[operator](a, b),
    ),
  ];

const reduction =
  (operator: 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceSumSquare'): Addition =>
  (node) => {
    const x = node.input(0);
    const axes = node.axes(1) ?? x.shape.map((_, axis) => axis);
    return [node.op[operator](x, axes, { keepdims: node.int('keepdims', 1) === 1 })];
  };

/** The supported operators, by their name in the specification. */
export const foreignOperators: Readonly<Record<string, Addition>> = {
  Abs: unary('Abs'),
  Add: binary('Add'),
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  Cast: (node) => {
    // Stored tensors of all floating types are float32 by now.
    const to = node.int('to', 0);
    if (to !== 1) throw node.refusal(`a conversion to type ${to} is not supported; wanted 1, float`);
    return [node.input(0)];
  },
  Clip: clip,
  Concat: (node) => {
    const parts = Array.from({ length: node.inputs }, (_, index) => node.input(index));
    return [node.op.Concat(parts, node.int('axis', 1))];
  },
  Conv: (node) => {
    const x = node.input(0);
    const w = node.input(1);
    return [node.op.Conv(x, w, node.optional(2), windowOf(node, x, w.shape.slice(2) as [number, number]))];
  },
  Div: binary('Div'),
  // Dropout has no effect at inference.
  Dropout: unary('Identity'),
  Erf: unary('Erf'),
  Exp: unary('Exp'),
  Expand: (node) => [node.op.Expand(node.input(0), node.sizes(1), node.image)],
  Gather: gather,
  Gelu: gelu,
  GlobalAveragePool: (node) => [node.op.ReduceMean(node.input(0), [2, 3])],
  HardSigmoid: (node) => [hardSigmoid(node, node.float('alpha', 0.2), node.float('beta', 0.5))],
  HardSwish: (node) => [node.op.Mul(node.input(0), hardSigmoid(node, 1 / 6, 0.5))],
  Identity: unary('Identity'),
  LayerNormalization: layerNormalization,
  LeakyRelu: (node) => {
    const alpha = node.float('alpha', 0.01);
    if (alpha > 1 || alpha < 0) throw node.refusal(`alpha ${alpha} is not supported; wanted 0 to 1`);
    return [node.op.Max(node.input(0), node.op.Mul(node.input(0), node.graph.scalar(alpha)))];
  },
  Log: unary('Log'),
  MatMul: binary('MatMul'),
  Max: variadic('Max'),
  MaxPool: (node) => {
    if (node.int('ceil_mode', 0) !== 0) throw node.refusal('ceil_mode 1 is not supported');
    const kernel_shape = node.ints('kernel_shape') as [number, number];
    const { strides, pads, dilations } = windowOf(node, node.input(0), kernel_shape);
    if (dilations?.some((dilation) => dilation !== 1)) throw node.refusal('dilations are not supported');
    return [
      node.op.MaxPool(node.input(0), { kernel_shape, ...(strides && { strides }), ...(pads && { pads }) }),
    ];
  },
  Min: (node) => cappedRelu(node) ?? variadic('Min')(node),
  Mul: binary('Mul'),
  Neg: unary('Neg'),
  Pad: (node) => {
    if (node.text('mode', 'constant') !== 'constant')
      throw node.refusal('only constant padding is supported');
    const value = node.has(2) ? node.constantInput(2)[0] : node.float('value', 0);
    if (value !== 0) throw node.refusal(`padding with ${value} is not supported; wanted 0`);
    return [node.op.Pad(node.input(0), node.ints('pads') ?? node.constantInput(1))];
  },
  Pow: power,
  Reciprocal: unary('Reciprocal'),
  ReduceMax: reduction('ReduceMax'),
  ReduceMean: reduction('ReduceMean'),
  ReduceSum: reduction('ReduceSum'),
  ReduceSumSquare: reduction('ReduceSumSquare'),
  Relu: unary('Relu'),
  Reshape: (node) => [node.op.Reshape(node.input(0), reshapeTarget(node))],
  Sigmoid: unary('Sigmoid'),
  Slice: (node) => {
    const starts = node.constantInput(1);
    const steps = node.has(4) ? node.constantInput(4) : starts.map(() => 1);
    const axes = node.has(3) ? node.constantInput(3) : starts.map((_, axis) => axis);
    const bounded = (list: number[]) => list.map((at) => Math.max(-(2 ** 31), Math.min(2 ** 31, at)));
    return [node.op.Slice(node.input(0), bounded(starts), bounded(node.constantInput(2)), axes, steps)];
  },
  Softmax: (node) => [node.op.Softmax(node.input(0), node.int('axis', -1))],
  Split: split,
  Sqrt: unary('Sqrt'),
  Squeeze: (node) => [node.op.Squeeze(node.input(0), node.axes(1) ?? onesOf(node.input(0)))],
  Sub: binary('Sub'),
  Sum: variadic('Add'),
  Tanh: unary('Tanh'),
  Transpose: (node) => {
    const x = node.input(0);
    return [node.op.Transpose(x, node.ints('perm') ?? x.shape.map((_, axis) => x.shape.length - 1 - axis))];
  },
  Unsqueeze: (node) => [node.op.Unsqueeze(node.input(0), node.axes(1) ?? [])],
  Where: (node) => [node.op.Where(node.input(0), node.input(1), node.input(2))],
};

function hardSigmoid(node: ForeignNode, alpha: number, beta: number): Value {
  return node.op.HardSigmoid(node.input(0), { alpha, beta });
}

function onesOf(x: Value): number[] {
  return x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
}

/** Converts a lower bound of 0 alone to Relu, so that guided back-propagation applies to it. */
function clip(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const bound = (index: number, name: string, none: number): number =>
    (node.has(index) ? node.constantInput(index)[0] : undefined) ?? node.float(name, none);
  const low = bound(1, 'min', Number.NEGATIVE_INFINITY);
  const high = bound(2, 'max', Number.POSITIVE_INFINITY);
  const x = node.input(0);
  const [isBelow, isAbove] = [low > -3e38, high < 3e38];
  if (isBelow && isAbove) return [op.Clip(x, low, high)];
  if (isAbove) return [op.Min(x, graph.scalar(high))];
  if (!isBelow) return [op.Identity(x)];
  return [low === 0 ? op.Relu(x) : op.Max(x, graph.scalar(low))];
}

/** Converts a Relu with an upper bound, such as ReLU6, to one operator. */
function cappedRelu(node: ForeignNode): readonly Value[] | undefined {
  if (node.inputs !== 2) return undefined;
  const [x, bound] = [node.input(0), node.input(1)];
  const { producer } = x;
  if (producer?.operator !== 'Relu' || bound.constant?.data.length !== 1) return undefined;
  return [node.op.Clip(producer.inputs[0] as Value, 0, Number(bound.constant.data[0]))];
}

/** Inference form: (x - mean) / deviation * scale + bias for each channel. */
function batchNormalization(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const x = node.input(0);
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((index) => node.constantInput(index)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const epsilon = node.float('epsilon', 1e-5);
  const factor = scale.map((value, at) => value / Math.sqrt((variance[at] as number) + epsilon));
  const shift = bias.map((value, at) => value - (mean[at] as number) * (factor[at] as number));
  const perChannel = (numbers: number[]): Value =>
    graph.constant({
      type: 'float32',
      shape: [numbers.length, ...x.shape.slice(2).map(() => 1)],
      data: Float32Array.from(numbers),
    });
  return [op.Add(op.Mul(x, perChannel(factor)), perChannel(shift))];
}
