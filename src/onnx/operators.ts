/**
 * The operators we emit, one method each, spelled as in the ONNX specification (opset 18). A method checks
 * what the runtime would check, infers type and shape of the result, and adds the node. Whatever could not run
 * is refused here with a GraphError that names the operator.
 */
import { broadcast, elementCount, normalAxis, reshape, sameShape, windowSize } from './shapes.js';
import { type Attribute, type DataType, type Dim, GraphError } from './types.js';
import { describe, knownShape, type Node, type NodeSink, type Value, type ValueInfo } from './value.js';

/** Everything we emit has a CUDA kernel at this version; see test/onnx/cuda-kernels.json. */
export const opset = 18;

export interface ConvAttributes {
  readonly strides?: readonly [number, number];
  /** top, left, bottom, right. */
  readonly pads?: readonly [number, number, number, number];
  readonly dilations?: readonly [number, number];
  readonly group?: number;
}

export interface ConvTransposeAttributes extends ConvAttributes {
  readonly output_padding?: readonly [number, number];
}

export interface PoolAttributes {
  readonly kernel_shape: readonly [number, number];
  readonly strides?: readonly [number, number];
  readonly pads?: readonly [number, number, number, number];
}

export interface ReduceAttributes {
  /** Keep reduced axes with size 1; the specification's default. */
  readonly keepdims?: boolean;
}

const float: readonly DataType[] = ['float32', 'float16'];

const int = (value: number | undefined): Attribute | undefined =>
  value === undefined ? undefined : { kind: 'int', value };
const ints = (value: readonly number[] | undefined): Attribute | undefined =>
  value === undefined ? undefined : { kind: 'ints', value };
const real = (value: number): Attribute => ({ kind: 'float', value });
const text = (value: string): Attribute => ({ kind: 'string', value });

/** Element types by their number in TensorProto.DataType, which Cast takes. */
export const dataTypeNumbers: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int64: 7,
  bool: 9,
  float16: 10,
};

export class Operators {
  readonly #graph: NodeSink;

  constructor(graph: NodeSink) {
    this.#graph = graph;
  }

  Add(a: Value, b: Value): Value {
    return this.#elementwise('Add', a, b);
  }

  Sub(a: Value, b: Value): Value {
    return this.#elementwise('Sub', a, b);
  }

  Mul(a: Value, b: Value): Value {
    return this.#elementwise('Mul', a, b);
  }

  Div(a: Value, b: Value): Value {
    return this.#elementwise('Div', a, b);
  }

  /** The larger of two, element by element. */
  Max(a: Value, b: Value): Value {
    return this.#elementwise('Max', a, b);
  }

  /** The smaller of two, element by element. */
  Min(a: Value, b: Value): Value {
    return this.#elementwise('Min', a, b);
  }

  Equal(a: Value, b: Value): Value {
    return this.#elementwise('Equal', a, b, 'bool');
  }

  Greater(a: Value, b: Value): Value {
    return this.#elementwise('Greater', a, b, 'bool');
  }

  Neg(x: Value): Value {
    return this.#unary('Neg', x);
  }

  Abs(x: Value): Value {
    return this.#unary('Abs', x);
  }

  Sign(x: Value): Value {
    return this.#unary('Sign', x);
  }

  Sqrt(x: Value): Value {
    return this.#unary('Sqrt', x);
  }

  Reciprocal(x: Value): Value {
    return this.#unary('Reciprocal', x);
  }

  Relu(x: Value): Value {
    return this.#unary('Relu', x);
  }

  /** 1 / (1 + exp(-x)). */
  Sigmoid(x: Value): Value {
    return this.#unary('Sigmoid', x);
  }

  Tanh(x: Value): Value {
    return this.#unary('Tanh', x);
  }

  /** alpha x + beta, cut to 0..1. */
  HardSigmoid(x: Value, { alpha, beta }: { readonly alpha: number; readonly beta: number }): Value {
    this.#float('HardSigmoid', x);
    const attributes = { alpha: real(alpha), beta: real(beta) };
    return this.#one('HardSigmoid', [x], attributes, { type: x.type, shape: x.shape });
  }

  Identity(x: Value): Value {
    return this.#one('Identity', [x], {}, { type: x.type, shape: x.shape });
  }

  Cast(x: Value, to: DataType): Value {
    return this.#one('Cast', [x], { to: int(dataTypeNumbers[to]) }, { type: to, shape: x.shape });
  }

  /** int64 vector of the sizes of `x`. */
  Shape(x: Value): Value {
    return this.#one('Shape', [x], {}, { type: 'int64', shape: [x.shape.length] });
  }

  /** The number of elements of `x`, an int64 scalar. */
  Size(x: Value): Value {
    return this.#one('Size', [x], {}, { type: 'int64', shape: [] });
  }

  /** `shape` as in the specification: 0 copies a dimension of `x`, one -1 takes what is left. */
  Reshape(x: Value, shape: readonly number[]): Value {
    const result = reshape(x.shape, shape);
    if (!result) throw refusal('Reshape', `${describe(x)} does not fit [${shape.join(', ')}]`);
    return this.#one('Reshape', [x, this.#graph.ints(shape)], {}, { type: x.type, shape: result });
  }

  /** Reshapes `x` to the sizes of `like`, whatever its symbols will be. */
  ReshapeLike(x: Value, like: Value): Value {
    if (elementCount(x.shape) !== elementCount(like.shape)) {
      throw refusal('Reshape', `${describe(x)} does not fill the shape of ${describe(like)}`);
    }
    return this.#one('Reshape', [x, this.Shape(like)], {}, { type: x.type, shape: like.shape });
  }

  /** Broadcasts `x` to the sizes of `like`. */
  ExpandLike(x: Value, like: Value): Value {
    const result = broadcast(x.shape, like.shape);
    if (!result || !sameShape(result, like.shape)) {
      throw refusal('Expand', `${describe(x)} does not broadcast to ${describe(like)}`);
    }
    return this.#one('Expand', [x, this.Shape(like)], {}, { type: x.type, shape: like.shape });
  }

  Transpose(x: Value, perm: readonly number[]): Value {
    const rank = x.shape.length;
    if (perm.length !== rank || new Set(perm).size !== rank || perm.some((axis) => !(axis in x.shape))) {
      throw refusal('Transpose', `[${perm.join(', ')}] does not order the axes of ${describe(x)}`);
    }
    const shape = perm.map((axis) => x.shape[axis] as Dim);
    return this.#one('Transpose', [x], { perm: ints(perm) }, { type: x.type, shape });
  }

  Unsqueeze(x: Value, axes: readonly number[]): Value {
    const rank = x.shape.length + axes.length;
    const at = this.#axes('Unsqueeze', axes, rank);
    const rest = [...x.shape];
    const shape = Array.from({ length: rank }, (_, axis) => (at.includes(axis) ? 1 : (rest.shift() as Dim)));
    return this.#one('Unsqueeze', [x, this.#graph.ints(axes)], {}, { type: x.type, shape });
  }

  Squeeze(x: Value, axes: readonly number[]): Value {
    const at = this.#axes('Squeeze', axes, x.shape.length);
    if (at.some((axis) => x.shape[axis] !== 1)) {
      throw refusal('Squeeze', `axes [${axes.join(', ')}] of ${describe(x)} are not all 1`);
    }
    const shape = x.shape.filter((_, axis) => !at.includes(axis));
    return this.#one('Squeeze', [x, this.#graph.ints(at)], {}, { type: x.type, shape });
  }

  /** Part of `x`: from `starts` up to but without `ends`, along `axes`, by `steps` (default 1). */
  Slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps: readonly number[] = axes.map(() => 1),
  ): Value {
    if (starts.length !== axes.length || ends.length !== axes.length || steps.length !== axes.length) {
      throw refusal('Slice', `starts, ends, axes and steps of ${describe(x)} differ in length`);
    }
    const shape = [...x.shape];
    for (const [index, axis] of this.#axes('Slice', axes, shape.length).entries()) {
      const size = shape[axis];
      if (typeof size !== 'number') throw refusal('Slice', `axis ${axis} of ${describe(x)} has to be known`);
      const step = steps[index] as number;
      if (!Number.isInteger(step) || step === 0) throw refusal('Slice', `step ${step} along axis ${axis}`);
      shape[axis] = sliceSize(size, starts[index] as number, ends[index] as number, step);
    }
    const lists = [starts, ends, axes, steps].map((list) => this.#graph.ints(list));
    return this.#one('Slice', [x, ...lists], {}, { type: x.type, shape });
  }

  /** Zero padding: `pads` holds what to add before each axis, then after each axis. */
  Pad(x: Value, pads: readonly number[]): Value {
    const rank = x.shape.length;
    if (pads.length !== 2 * rank)
      throw refusal('Pad', `${pads.length} pads for ${describe(x)}; wanted ${2 * rank}`);
    const shape = x.shape.map((size, axis) => {
      const added = (pads[axis] as number) + (pads[axis + rank] as number);
      if (added === 0) return size;
      if (typeof size !== 'number') throw refusal('Pad', `axis ${axis} of ${describe(x)} has to be known`);
      return size + added;
    });
    return this.#one('Pad', [x, this.#graph.ints(pads)], { mode: text('constant') }, { type: x.type, shape });
  }

  Concat(values: readonly Value[], axis: number): Value {
    const [first] = values;
    if (!first) throw refusal('Concat', 'nothing to concatenate');
    const [at] = this.#axes('Concat', [axis], first.shape.length) as [number];
    let size = 0;
    for (const value of values) {
      const along = value.shape[at];
      const others = first.shape.map((dim, index) => (index === at ? (along ?? dim) : dim));
      if (value.type !== first.type || typeof along !== 'number' || !sameShape(others, value.shape)) {
        throw refusal('Concat', `${describe(value)} does not fit ${describe(first)} along axis ${at}`);
      }
      size += along;
    }
    const shape = first.shape.map((dim, index) => (index === at ? size : dim));
    return this.#one('Concat', values, { axis: int(at) }, { type: first.type, shape });
  }

  ReduceSum(x: Value, axes: readonly number[], attributes: ReduceAttributes = {}): Value {
    return this.#reduce('ReduceSum', x, axes, attributes);
  }

  ReduceMean(x: Value, axes: readonly number[], attributes: ReduceAttributes = {}): Value {
    return this.#reduce('ReduceMean', x, axes, attributes);
  }

  ReduceMax(x: Value, axes: readonly number[], attributes: ReduceAttributes = {}): Value {
    return this.#reduce('ReduceMax', x, axes, attributes);
  }

  /** Sum of squares. */
  ReduceSumSquare(x: Value, axes: readonly number[], attributes: ReduceAttributes = {}): Value {
    return this.#reduce('ReduceSumSquare', x, axes, attributes);
  }

  /** Matrix product over the last two axes, leading axes broadcast. */
  MatMul(a: Value, b: Value): Value {
    this.#float('MatMul', a, b);
    const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const inner = a.shape.at(-1);
    if (a.shape.length < 2 || b.shape.length < 2 || !batch || inner !== b.shape.at(-2)) {
      throw refusal('MatMul', `${describe(a)} and ${describe(b)} do not multiply`);
    }
    const shape = [...batch, a.shape.at(-2) as Dim, b.shape.at(-1) as Dim];
    return this.#one('MatMul', [a, b], {}, { type: a.type, shape });
  }

  /** Two-dimensional convolution: x [N, Cin, H, W], w [Cout, Cin/group, kH, kW], b [Cout]. */
  Conv(x: Value, w: Value, b?: Value, attributes: ConvAttributes = {}): Value {
    this.#float('Conv', x, w, ...(b ? [b] : []));
    const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], group = 1 } = attributes;
    const [, channels, height, width] = this.#image('Conv', x);
    const [out, inPerGroup, kernelHeight, kernelWidth] = this.#image('Conv', w).map(
      (dim) => dim as number,
    ) as [number, number, number, number];
    if (channels !== inPerGroup * group || out % group !== 0 || (b && !sameShape(b.shape, [out]))) {
      throw refusal(
        'Conv',
        `${describe(x)}, ${describe(w)}${b ? `, ${describe(b)}` : ''} in ${group} group(s)`,
      );
    }
    const rows = windowSize(height, kernelHeight, strides[0], pads[0], pads[2], dilations[0]);
    const columns = windowSize(width, kernelWidth, strides[1], pads[1], pads[3], dilations[1]);
    if (rows < 1 || columns < 1)
      throw refusal('Conv', `${describe(x)} is smaller than the kernel ${describe(w)}`);
    const kernel_shape = ints([kernelHeight, kernelWidth]);
    return this.#one(
      'Conv',
      [x, w, b],
      {
        kernel_shape,
        strides: ints(strides),
        pads: ints(pads),
        dilations: ints(dilations),
        group: int(group),
      },
      { type: x.type, shape: [x.shape[0] as Dim, out, rows, columns] },
    );
  }

  /** Transposed convolution: x [N, Cin, H, W], w [Cin, Cout/group, kH, kW]. */
  ConvTranspose(x: Value, w: Value, attributes: ConvTransposeAttributes = {}): Value {
    this.#float('ConvTranspose', x, w);
    const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], group = 1 } = attributes;
    const { output_padding = [0, 0] } = attributes;
    const [, channels, height, width] = this.#image('ConvTranspose', x);
    const [into, outPerGroup, kernelHeight, kernelWidth] = this.#image('ConvTranspose', w);
    if (channels !== into || channels % group !== 0) {
      throw refusal('ConvTranspose', `${describe(x)} and ${describe(w)} in ${group} group(s)`);
    }
    const grow = (size: number, kernel: number, axis: 0 | 1): number =>
      (size - 1) * strides[axis] +
      output_padding[axis] +
      dilations[axis] * (kernel - 1) +
      1 -
      pads[axis] -
      pads[(axis + 2) as 2 | 3];
    const shape = [
      x.shape[0] as Dim,
      outPerGroup * group,
      grow(height, kernelHeight, 0),
      grow(width, kernelWidth, 1),
    ];
    return this.#one(
      'ConvTranspose',
      [x, w],
      {
        kernel_shape: ints([kernelHeight, kernelWidth]),
        strides: ints(strides),
        pads: ints(pads),
        dilations: ints(dilations),
        group: int(group),
        output_padding: ints(output_padding),
      },
      { type: x.type, shape },
    );
  }

  /** Largest value of each window; {@link maxPoolIndices} says where it was. */
  MaxPool(x: Value, attributes: PoolAttributes): Value {
    this.#float('MaxPool', x);
    const { kernel_shape, strides = [1, 1], pads = [0, 0, 0, 0] } = attributes;
    const [batch, channels, height, width] = this.#image('MaxPool', x);
    const rows = windowSize(height, kernel_shape[0], strides[0], pads[0], pads[2], 1);
    const columns = windowSize(width, kernel_shape[1], strides[1], pads[1], pads[3], 1);
    if (rows < 1 || columns < 1) throw refusal('MaxPool', `${describe(x)} is smaller than the window`);
    return this.#one(
      'MaxPool',
      [x],
      { kernel_shape: ints(kernel_shape), strides: ints(strides), pads: ints(pads) },
      { type: x.type, shape: [batch, channels, rows, columns] },
    );
  }

  /** Repeats every entry of an image [N, C, H, W]: `times` along its height and its width (nearest neighbor). */
  Resize(x: Value, times: readonly [number, number]): Value {
    this.#float('Resize', x);
    const [batch, channels, height, width] = this.#image('Resize', x);
    if (times.some((factor) => !Number.isInteger(factor) || factor < 1)) {
      throw refusal('Resize', `repeats whole numbers of times, not [${times.join(', ')}]`);
    }
    return this.#one(
      'Resize',
      [x, undefined, this.#graph.floats([1, 1, ...times])],
      {
        mode: text('nearest'),
        coordinate_transformation_mode: text('asymmetric'),
        nearest_mode: text('floor'),
      },
      { type: x.type, shape: [batch, channels, height * times[0], width * times[1]] },
    );
  }

  /** `data` with `updates` written, or added, at flat positions `indices`; all along axis 0. */
  ScatterElements(data: Value, indices: Value, updates: Value, reduction: 'none' | 'add'): Value {
    if (indices.type !== 'int64' || updates.type !== data.type || !sameShape(indices.shape, updates.shape)) {
      throw refusal('ScatterElements', `${describe(data)}, ${describe(indices)}, ${describe(updates)}`);
    }
    return this.#one(
      'ScatterElements',
      [data, indices, updates],
      { axis: int(0), reduction: text(reduction) },
      { type: data.type, shape: data.shape },
    );
  }

  #unary(operator: string, x: Value): Value {
    this.#float(operator, x);
    return this.#one(operator, [x], {}, { type: x.type, shape: x.shape });
  }

  #elementwise(operator: string, a: Value, b: Value, result?: DataType): Value {
    const shape = broadcast(a.shape, b.shape);
    if (!shape || a.type !== b.type) throw refusal(operator, `${describe(a)} and ${describe(b)} do not fit`);
    if (a.type === 'bool' || a.type === 'uint8')
      throw refusal(operator, `takes no ${a.type}: ${describe(a)}`);
    return this.#one(operator, [a, b], {}, { type: result ?? a.type, shape });
  }

  #reduce(operator: string, x: Value, axes: readonly number[], { keepdims = true }: ReduceAttributes): Value {
    this.#float(operator, x);
    const reduced = this.#axes(operator, axes, x.shape.length);
    const shape: Dim[] = [];
    for (const [axis, size] of x.shape.entries()) {
      if (!reduced.includes(axis)) shape.push(size);
      else if (keepdims) shape.push(1);
    }
    const attributes = { keepdims: int(keepdims ? 1 : 0) };
    // Until opset 18, ReduceSum alone took its axes as an input; since then all of them do.
    return this.#one(operator, [x, this.#graph.ints(reduced)], attributes, { type: x.type, shape });
  }

  #axes(operator: string, axes: readonly number[], rank: number): number[] {
    const normal = axes.map((axis) => normalAxis(axis, rank) ?? -1);
    if (normal.includes(-1) || new Set(normal).size !== normal.length) {
      throw refusal(operator, `axes [${axes.join(', ')}] of a tensor of rank ${rank}`);
    }
    return normal;
  }

  /** The four dimensions of an image tensor, all but the first known. */
  #image(operator: string, x: Value): [Dim, number, number, number] {
    if (x.shape.length !== 4) throw refusal(operator, `${describe(x)} has not four axes`);
    const [first, ...rest] = x.shape as [Dim, Dim, Dim, Dim];
    const known = knownShape({ ...x, shape: rest }, operator) as [number, number, number];
    return [first, ...known];
  }

  #float(operator: string, ...values: readonly Value[]): void {
    const type = values[0]?.type;
    for (const value of values) {
      if (!float.includes(value.type))
        throw refusal(operator, `takes floating point, not ${describe(value)}`);
      if (value.type !== type) throw refusal(operator, `types differ: ${values.map(describe).join(', ')}`);
    }
  }

  #one(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Record<string, Attribute | undefined>,
    output: ValueInfo,
  ): Value {
    return this.#graph.node(operator, inputs, attributes, [output]).outputs[0] as Value;
  }
}

/** Flat positions, int64, of the maxima a MaxPool took: the second output of its node. */
export function maxPoolIndices(node: Node): Value {
  const pooled = node.outputs[0] as Value;
  return pooled.graph.optionalOutput(node, 1, { type: 'int64', shape: pooled.shape });
}

function refusal(operator: string, why: string): GraphError {
  return new GraphError(`${operator}: ${why}`);
}

function sliceSize(size: number, start: number, end: number, step: number): number {
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  if (step > 0) {
    const first = clamp(from, 0, size);
    return Math.max(0, Math.ceil((clamp(to, 0, size) - first) / step));
  }
  const first = clamp(from, 0, size - 1);
  return Math.max(0, Math.ceil((clamp(to, -1, size - 1) - first) / step));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
