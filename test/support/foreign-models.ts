/** ONNX models like exported ones: batch normalization, strides, groups, hard activations, a classifier's head. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from '../../src/onnx/schema/onnx_pb.js';
import { normal, randomStream } from '../../src/random/random.js';

type Attributes = Readonly<Record<string, number | readonly number[] | string>>;

/** Writes an ONNX model node by node, with seeded random weights. */
export class ModelWriter {
  readonly #nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly #tensors: MessageInitShape<typeof TensorProtoSchema>[] = [];
  readonly #random = randomStream(0, 'foreign model');
  #serial = 0;

  node(opType: string, inputs: readonly string[], attributes: Attributes = {}, output?: string): string {
    const name = output ?? `${opType.toLowerCase()}_${++this.#serial}`;
    this.#add(opType, inputs, attributes, [name]);
    return name;
  }

  /** Adds a node with several outputs. */
  nodes(opType: string, inputs: readonly string[], attributes: Attributes, outputs: number): string[] {
    const names = Array.from({ length: outputs }, () => `${opType.toLowerCase()}_${++this.#serial}`);
    this.#add(opType, inputs, attributes, names);
    return names;
  }

  #add(opType: string, inputs: readonly string[], attributes: Attributes, outputs: readonly string[]): void {
    this.#nodes.push({
      name: `node_${outputs[0]}`,
      opType,
      input: [...inputs],
      output: [...outputs],
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
  }

  floats(shape: readonly number[], draw: (noise: number) => number): string {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length: count }, () => draw(normal(this.#random)));
    return this.#tensor(DataType.FLOAT, shape, new Uint8Array(data.buffer));
  }

  ints(numbers: readonly number[]): string {
    const data = BigInt64Array.from(numbers, BigInt);
    return this.#tensor(DataType.INT64, [numbers.length], new Uint8Array(data.buffer));
  }

  /** Stores a scalar. */
  int(number: number): string {
    const data = BigInt64Array.of(BigInt(number));
    return this.#tensor(DataType.INT64, [], new Uint8Array(data.buffer));
  }

  #tensor(dataType: DataType, dims: readonly number[], rawData: Uint8Array<ArrayBuffer>): string {
    const name = `tensor_${++this.#serial}`;
    this.#tensors.push({ name, dataType, dims: dims.map(BigInt), rawData });
    return name;
  }

  /** Adds a convolution and a batch normalization with non-trivial statistics. */
  convolution(
    x: string,
    [into, out]: readonly [number, number],
    kernel: number,
    { stride = 1, group = 1, output }: { stride?: number; group?: number; output?: string } = {},
  ): string {
    const scale = Math.sqrt(2 / ((into / group) * kernel * kernel));
    const w = this.floats([out, into / group, kernel, kernel], (noise) => noise * scale);
    const pad = (kernel - 1) / 2;
    const convolved = this.node('Conv', [x, w], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      group,
    });
    const statistics = [
      this.floats([out], (noise) => 1 + 0.2 * noise),
      this.floats([out], (noise) => 0.3 * noise),
      this.floats([out], (noise) => 0.1 * noise),
      this.floats([out], (noise) => 0.8 + 0.2 * Math.abs(noise)),
    ];
    return this.node('BatchNormalization', [convolved, ...statistics], { epsilon: 1e-5 }, output);
  }

  /** Encodes the model. @param outputs [name, shape] of each output. */
  bytes(size: number, outputs: readonly (readonly [string, readonly number[]])[]): Uint8Array {
    const info = (name: string, shape: readonly number[]): MessageInitShape<typeof ValueInfoProtoSchema> => {
      const dim = shape.map((size) => ({ value: { case: 'dimValue' as const, value: BigInt(size) } }));
      return {
        name,
        type: { value: { case: 'tensorType', value: { elemType: DataType.FLOAT, shape: { dim } } } },
      };
    };
    const model = create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17n }],
      graph: {
        name: 'foreign',
        node: this.#nodes,
        initializer: this.#tensors,
        input: [info('image', [1, 3, size, size])],
        output: outputs.map(([name, shape]) => info(name, shape)),
      },
    });
    return toBinary(ModelProtoSchema, model);
  }
}

function attribute(name: string, value: Attributes[string]): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === 'string') {
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  }
  if (typeof value !== 'number') return { name, type: AttributeType.INTS, ints: value.map(BigInt) };
  return Number.isInteger(value)
    ? { name, type: AttributeType.INT, i: BigInt(value) }
    : { name, type: AttributeType.FLOAT, f: value };
}

/** A model and its critical layers. */
export interface ForeignTestModel {
  readonly bytes: Uint8Array;
  /** Their names, and their shapes at the model's own input size. */
  readonly layers: readonly (readonly [name: string, shape: readonly number[]])[];
}

/** Returns a residual network: a stem with an overlapping pooling, blocks with and without a projection, a head. */
export function residualModel(size: number): ForeignTestModel {
  const model = new ModelWriter();
  const relu = (x: string, output?: string): string => model.node('Relu', [x], {}, output);
  const block = (x: string, into: number, out: number, stride: number, output: string): string => {
    const first = relu(model.convolution(x, [into, out], 3, { stride }));
    const second = model.convolution(first, [out, out], 3);
    const skip = stride === 1 && into === out ? x : model.convolution(x, [into, out], 1, { stride });
    return relu(model.node('Add', [second, skip]), output);
  };
  const stem = relu(model.convolution('image', [3, 8], 7, { stride: 2 }));
  const pooled = model.node('MaxPool', [stem], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  });
  const one = block(pooled, 8, 8, 1, 'layer1');
  const two = block(one, 8, 12, 2, 'layer2');
  const three = block(two, 12, 16, 2, 'layer3');
  const head = model.node('Flatten', [model.node('GlobalAveragePool', [three])], { axis: 1 });
  model.node('Gemm', [head, model.floats([10, 16], (noise) => noise)], { transB: 1 }, 'classes');
  const layers = [
    ['layer1', plane(8, size / 4)],
    ['layer2', plane(12, size / 8)],
    ['layer3', plane(16, size / 16)],
  ] as const;
  return { layers, bytes: model.bytes(size, layers) };
}

/** Returns a MobileNet V3-like network: depthwise convolutions, squeeze and excitation, linear bottlenecks. */
export function mobileModel(size: number): ForeignTestModel {
  const model = new ModelWriter();
  const block = (
    x: string,
    [into, wide, out]: readonly [number, number, number],
    {
      stride,
      activation,
      excite,
      output,
    }: { stride: number; activation: 'relu6' | 'hardswish'; excite: boolean; output: string },
  ): string => {
    const act = (y: string): string =>
      activation === 'hardswish'
        ? model.node('HardSwish', [y])
        : model.node('Clip', [y, model.floats([], () => 0), model.floats([], () => 6)]);
    const expanded = act(model.convolution(x, [into, wide], 1));
    const deep = act(model.convolution(expanded, [wide, wide], 3, { stride, group: wide }));
    const excited = excite ? squeezed(model, deep, wide) : deep;
    const residual = stride === 1 && into === out;
    const projected = model.convolution(excited, [wide, out], 1, residual ? {} : { output });
    return residual ? model.node('Add', [projected, x], {}, output) : projected;
  };
  const stem = model.node('HardSwish', [model.convolution('image', [3, 8], 3, { stride: 2 })]);
  const one = block(stem, [8, 16, 8], {
    stride: 1,
    activation: 'relu6',
    excite: false,
    output: 'features.1',
  });
  const two = block(one, [8, 24, 12], { stride: 2, activation: 'relu6', excite: true, output: 'features.2' });
  const averaged = model.node('AveragePool', [two], {
    kernel_shape: [3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
  });
  block(averaged, [12, 24, 16], { stride: 2, activation: 'hardswish', excite: true, output: 'features.3' });
  const layers = [
    ['features.1', plane(8, size / 2)],
    ['features.2', plane(12, size / 4)],
    ['features.3', plane(16, size / 8)],
  ] as const;
  return { layers, bytes: model.bytes(size, layers) };
}

function squeezed(model: ModelWriter, x: string, channels: number): string {
  const mean = model.node('ReduceMean', [x], { axes: [2, 3], keepdims: 1 });
  const weights = (out: number, into: number) => model.floats([out, into, 1, 1], (noise) => 0.4 * noise);
  const down = model.node('Relu', [
    model.node('Conv', [mean, weights(4, channels)], { kernel_shape: [1, 1] }),
  ]);
  const up = model.node('Conv', [down, weights(channels, 4)], { kernel_shape: [1, 1] });
  const gate = model.node('HardSigmoid', [up], { alpha: 1 / 6, beta: 0.5 });
  return model.node('Mul', [x, gate]);
}

/** Returns a model with an unsupported operator. */
export function unknownModel(size: number): Uint8Array {
  const model = new ModelWriter();
  const convolved = model.convolution('image', [3, 4], 3, { stride: 2 });
  model.node('Celu', [convolved], {}, 'layer1');
  return model.bytes(size, [['layer1', [1, 4, size / 2, size / 2]]]);
}

function plane(channels: number, side: number): readonly number[] {
  return [1, channels, side, side];
}
