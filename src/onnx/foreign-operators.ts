/**
 * The operators of models that others made, as they are added to a graph of ours. Where one can be written in terms
 * of another that has a gradient rule, it is: batch normalization is a scale and a shift, an average a convolution.
 */
import type onnxProto from 'onnx-proto';
import type { Graph } from './graph.js';
import type { ConvAttributes } from './operators.js';
import { type ConstantTensor, GraphError } from './types.js';
import { describe, type Value } from './value.js';

type AttributeProto = NonNullable<
  NonNullable<ConstructorParameters<typeof onnxProto.onnx.NodeProto>[0]>['attribute']
>[number];

/** One node of another model, and the graph it is added to. */
export class ForeignNode {
  readonly op: Graph['op'];

  constructor(
    readonly graph: Graph,
    /** For messages. */
    readonly where: string,
    private readonly names: readonly string[],
    private readonly attributes: ReadonlyMap<string, AttributeProto>,
    private readonly named: (name: string) => Value,
    private readonly storedAs: (name: string) => ConstantTensor | undefined,
  ) {
    this.op = graph.op;
  }

  get inputs(): number {
    return this.names.length;
  }

  has(index: number): boolean {
    return (this.names[index] ?? '') !== '';
  }

  input(index: number): Value {
    if (!this.has(index)) throw this.refusal(`input ${index} is missing`);
    return this.named(this.names[index] as string);
  }

  optional(index: number): Value | undefined {
    return this.has(index) ? this.input(index) : undefined;
  }

  /** The numbers of an input that the model stores. */
  stored(index: number): number[] {
    const tensor = this.storedAs(this.names[index] ?? '');
    if (!tensor) throw this.refusal(`input ${index} has to be stored in the model`);
    return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  }

  int(name: string, otherwise: number): number {
    const attribute = this.attributes.get(name);
    return attribute ? Number(attribute.i) : otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.attributes.get(name)?.f ?? otherwise;
  }

  ints(name: string): number[] | undefined {
    return this.attributes.get(name)?.ints?.map(Number);
  }

  text(name: string, otherwise: string): string {
    const bytes = this.attributes.get(name)?.s;
    return bytes ? new TextDecoder().decode(bytes) : otherwise;
  }

  /** Axes, which newer models give as an input and older ones as an attribute. */
  axes(index: number): number[] | undefined {
    return this.ints('axes') ?? (this.has(index) ? this.stored(index) : undefined);
  }

  refusal(why: string): GraphError {
    return new GraphError(`${this.where}: ${why}`);
  }
}

type Addition = (node: ForeignNode) => readonly Value[];

const unary =
  (operator: 'Relu' | 'Sigmoid' | 'Tanh' | 'Identity' | 'Abs' | 'Neg' | 'Sqrt' | 'Reciprocal'): Addition =>
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

/** The operators that are known, by the name the specification gives them. */
export const foreignOperators: Readonly<Record<string, Addition>> = {
  Abs: unary('Abs'),
  Add: binary('Add'),
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  Clip: clip,
  Concat: (node) => {
    const parts = Array.from({ length: node.inputs }, (_, index) => node.input(index));
    return [node.op.Concat(parts, node.int('axis', 1))];
  },
  Conv: (node) => {
    const x = node.input(0);
    const w = node.input(1);
    return [node.op.Conv(x, w, node.optional(2), window(node, x, w.shape.slice(2) as [number, number]))];
  },
  Div: binary('Div'),
  // Nothing is dropped outside of training.
  Dropout: unary('Identity'),
  GlobalAveragePool: (node) => [node.op.ReduceMean(node.input(0), [2, 3])],
  HardSigmoid: (node) => [hardSigmoid(node, node.float('alpha', 0.2), node.float('beta', 0.5))],
  HardSwish: (node) => [node.op.Mul(node.input(0), hardSigmoid(node, 1 / 6, 0.5))],
  Identity: unary('Identity'),
  LeakyRelu: (node) => {
    const alpha = node.float('alpha', 0.01);
    if (alpha > 1 || alpha < 0) throw node.refusal(`alpha ${alpha}: wanted 0 to 1`);
    return [node.op.Max(node.input(0), node.op.Mul(node.input(0), node.graph.scalar(alpha)))];
  },
  MatMul: binary('MatMul'),
  Max: variadic('Max'),
  MaxPool: (node) => {
    if (node.int('ceil_mode', 0) !== 0) throw node.refusal('ceil_mode 1 is not taken');
    const kernel_shape = node.ints('kernel_shape') as [number, number];
    const { strides, pads, dilations } = window(node, node.input(0), kernel_shape);
    if (dilations?.some((dilation) => dilation !== 1)) throw node.refusal('dilations are not taken');
    return [
      node.op.MaxPool(node.input(0), { kernel_shape, ...(strides && { strides }), ...(pads && { pads }) }),
    ];
  },
  Min: variadic('Min'),
  Mul: binary('Mul'),
  Neg: unary('Neg'),
  Pad: (node) => {
    if (node.text('mode', 'constant') !== 'constant') throw node.refusal('only constant padding is taken');
    const value = node.has(2) ? node.stored(2)[0] : node.float('value', 0);
    if (value !== 0) throw node.refusal(`pads with ${value}; wanted 0`);
    return [node.op.Pad(node.input(0), node.ints('pads') ?? node.stored(1))];
  },
  Reciprocal: unary('Reciprocal'),
  ReduceMax: reduction('ReduceMax'),
  ReduceMean: reduction('ReduceMean'),
  ReduceSum: reduction('ReduceSum'),
  ReduceSumSquare: reduction('ReduceSumSquare'),
  Relu: unary('Relu'),
  Reshape: (node) => [node.op.Reshape(node.input(0), node.stored(1))],
  Sigmoid: unary('Sigmoid'),
  Slice: (node) => {
    const starts = node.stored(1);
    const steps = node.has(4) ? node.stored(4) : starts.map(() => 1);
    const axes = node.has(3) ? node.stored(3) : starts.map((_, axis) => axis);
    const bounded = (list: number[]) => list.map((at) => Math.max(-(2 ** 31), Math.min(2 ** 31, at)));
    return [node.op.Slice(node.input(0), bounded(starts), bounded(node.stored(2)), axes, steps)];
  },
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
};

function hardSigmoid(node: ForeignNode, alpha: number, beta: number): Value {
  return node.op.HardSigmoid(node.input(0), { alpha, beta });
}

function onesOf(x: Value): number[] {
  return x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
}

/** Bounds of 0 below are a ReLU, so that guided back-propagation knows them. */
function clip(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const bound = (index: number, name: string, none: number): number =>
    (node.has(index) ? node.stored(index)[0] : undefined) ?? node.float(name, none);
  const low = bound(1, 'min', Number.NEGATIVE_INFINITY);
  const high = bound(2, 'max', Number.POSITIVE_INFINITY);
  let x = node.input(0);
  if (low === 0) x = op.Relu(x);
  else if (Number.isFinite(low)) x = op.Max(x, graph.scalar(low));
  return [high < 3e38 ? op.Min(x, graph.scalar(high)) : x];
}

/** As in inference: (x - mean) / deviation * scale + bias, by channel. */
function batchNormalization(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  const x = node.input(0);
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((index) => node.stored(index)) as [
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

/** A convolution that gives every entry of its window the same weight; borders are averaged over what is inside. */
function averagePool(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  if (node.int('ceil_mode', 0) !== 0) throw node.refusal('ceil_mode 1 is not taken');
  const x = node.input(0);
  const kernel = node.ints('kernel_shape') as [number, number];
  const geometry = window(node, x, kernel);
  const channels = x.shape[1];
  if (typeof channels !== 'number') throw node.refusal(`the channels of ${describe(x)} have to be known`);
  const size = kernel[0] * kernel[1];
  const weights = new Float32Array(channels * size).fill(1 / size);
  const w = graph.constant({ type: 'float32', shape: [channels, 1, ...kernel], data: weights });
  const mean = op.Conv(x, w, undefined, { ...geometry, group: channels });
  if (node.int('count_include_pad', 0) === 1 || !geometry.pads?.some((pad) => pad > 0)) return [mean];
  return [op.Mul(mean, graph.constant(insideShares(x, mean, kernel, geometry)))];
}

/** [1, 1, H, W]: size of a window over the part of it that lies inside the image. */
function insideShares(
  x: Value,
  pooled: Value,
  kernel: readonly [number, number],
  { strides = [1, 1], pads = [0, 0, 0, 0] }: ConvAttributes,
): ConstantTensor {
  const along = (axis: 0 | 1): number[] => {
    const size = x.shape[2 + axis] as number;
    return Array.from({ length: pooled.shape[2 + axis] as number }, (_, at) => {
      const from = at * strides[axis] - pads[axis];
      return kernel[axis] / (Math.min(from + kernel[axis], size) - Math.max(from, 0));
    });
  };
  const [rows, columns] = [along(0), along(1)];
  const data = Float32Array.from(rows.flatMap((row) => columns.map((column) => row * column)));
  return { type: 'float32', shape: [1, 1, rows.length, columns.length], data };
}

/** Strides, padding and dilations of a sliding window; automatic padding worked out. */
function window(node: ForeignNode, x: Value, kernel: readonly [number, number]): ConvAttributes {
  if (kernel.length !== 2) throw node.refusal('wanted a window of two dimensions');
  const strides = (node.ints('strides') ?? [1, 1]) as [number, number];
  const dilations = (node.ints('dilations') ?? [1, 1]) as [number, number];
  const group = node.int('group', 1);
  const automatic = node.text('auto_pad', 'NOTSET');
  if (automatic === 'NOTSET' || automatic === 'VALID') {
    const pads = (automatic === 'NOTSET' ? node.ints('pads') : undefined) ?? [0, 0, 0, 0];
    return { strides, dilations, group, pads: pads as [number, number, number, number] };
  }
  const needed = ([0, 1] as const).map((axis) => {
    const size = x.shape[2 + axis] as number;
    const reach = dilations[axis] * (kernel[axis] - 1) + 1;
    return Math.max(0, (Math.ceil(size / strides[axis]) - 1) * strides[axis] + reach - size);
  }) as [number, number];
  // SAME_UPPER puts an odd rest after the image, SAME_LOWER before it.
  const before = needed.map((pad) => (automatic === 'SAME_LOWER' ? Math.ceil(pad / 2) : Math.floor(pad / 2)));
  const pads = [...before, ...needed.map((pad, axis) => pad - (before[axis] as number))];
  return { strides, dilations, group, pads: pads as [number, number, number, number] };
}
