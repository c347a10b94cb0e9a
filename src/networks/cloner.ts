/**
 * The cloner: the expert's poolings with much smaller layers between them. 3 x 3 convolutions without bias, batch
 * normalization after every convolution except the last of a block, ReLU.
 */
import type { ConstantTensor, Graph, Value } from '../onnx/index.js';
import { floatTensor, type TensorMap } from '../weights/safetensors.js';
import {
  addBlocks,
  type ConvolutionSpec,
  type CriticalLayer,
  convolutions,
  type Layout,
  samePadding,
} from './layout.js';
import { clonerInput } from './tensor-names.js';

/** PyTorch's defaults, which the paper's code uses. */
export const batchNormalization = { epsilon: 1e-5, momentum: 0.1 } as const;

/** Returns the name of the batch normalization after a convolution: `bn1_1` for `conv1_1`. */
export function normalizationName(convolution: string): string {
  return convolution.replace('conv', 'bn');
}

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Returns the parameters that distillation trains: kernels, and weight and bias of each batch normalization. */
export function trainableParameters(layout: Layout): ParameterSpec[] {
  return convolutions(layout).flatMap(({ name, inChannels, outChannels, last }) => {
    const kernel = { name: `${name}.weight`, shape: [outChannels, inChannels, 3, 3] };
    if (last) return [kernel];
    const bn = normalizationName(name);
    return [
      kernel,
      { name: `${bn}.weight`, shape: [outChannels] },
      { name: `${bn}.bias`, shape: [outChannels] },
    ];
  });
}

/** Returns running mean and variance of each batch normalization. */
export function runningStatistics(layout: Layout): ParameterSpec[] {
  return convolutions(layout).flatMap(({ name, outChannels, last }) => {
    if (last) return [];
    const bn = normalizationName(name);
    return [
      { name: `${bn}.running_mean`, shape: [outChannels] },
      { name: `${bn}.running_var`, shape: [outChannels] },
    ];
  });
}

/** Returns Xavier-uniform kernels (Glorot and Bengio 2010) and neutral batch normalization. `random` returns 0..1. */
export function initialCloner(layout: Layout, random: () => number): Map<string, ConstantTensor> {
  const tensors = new Map<string, ConstantTensor>();
  for (const { name, shape } of [...trainableParameters(layout), ...runningStatistics(layout)]) {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const [out, into] = shape as [number, number];
    const limit = Math.sqrt(6 / (9 * into + 9 * out));
    if (shape.length === 4) for (let i = 0; i < data.length; i++) data[i] = limit * (2 * random() - 1);
    else if (name.endsWith('.weight') || name.endsWith('.running_var')) data.fill(1);
    tensors.set(name, { type: 'float32', shape, data });
  }
  return tensors;
}

/** A parameter of the cloner's inference graph, batch normalization folded: a kernel or a bias. */
export interface FoldedParameter extends ParameterSpec {
  readonly data: Float32Array;
}

/** Returns the inputs that {@link addCloner} declares, without data. */
export function foldedParameters(layout: Layout): ParameterSpec[] {
  return convolutions(layout).flatMap(({ name, inChannels, outChannels, last }) => [
    { name: `${name}.weight`, shape: [outChannels, inChannels, 3, 3] },
    ...(last ? [] : [{ name: `${name}.bias`, shape: [outChannels] }]),
  ]);
}

/**
 * Folds batch normalization with its running statistics into the convolution before it, in double precision, so that
 * inference does not normalize.
 */
export function foldBatchNormalization(layout: Layout, cloner: TensorMap): FoldedParameter[] {
  return convolutions(layout).flatMap(({ name, inChannels, outChannels, last }) => {
    const shape = [outChannels, inChannels, 3, 3];
    const kernel = floatTensor(cloner, `${name}.weight`).data;
    if (last) return [{ name: `${name}.weight`, shape, data: kernel }];
    const bn = normalizationName(name);
    const [gamma, beta, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(
      (part) => floatTensor(cloner, `${bn}.${part}`).data,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const factor = Array.from(
      gamma,
      (g, c) => g / Math.sqrt((variance[c] as number) + batchNormalization.epsilon),
    );
    const size = inChannels * 9;
    return [
      {
        name: `${name}.weight`,
        shape,
        data: kernel.map((value, index) => value * (factor[Math.floor(index / size)] as number)),
      },
      {
        name: `${name}.bias`,
        shape: [outChannels],
        data: beta.map((b, c) => b - (mean[c] as number) * (factor[c] as number)),
      },
    ];
  });
}

/**
 * Adds a cloner for inference, with batch normalization folded. Its weights are inputs ({@link clonerInput}).
 * @param image float32 [N, 3, H, W], RGB in 0..1.
 */
export function addCloner(graph: Graph, image: Value, layout: Layout): ReadonlyMap<CriticalLayer, Value> {
  const inputs = new Map(
    foldedParameters(layout).map(({ name, shape }) => [
      name,
      graph.input(clonerInput(name), 'float32', shape),
    ]),
  );
  return addBlocks(graph, image, layout, (x, { name }) =>
    graph.op.Conv(x, inputs.get(`${name}.weight`) as Value, inputs.get(`${name}.bias`), {
      pads: samePadding,
    }),
  );
}

/** A cloner in training: its critical layers and the running statistics after the step. */
export interface TrainingCloner {
  readonly pools: ReadonlyMap<CriticalLayer, Value>;
  /** The new running statistics, by name. */
  readonly statistics: ReadonlyMap<string, Value>;
}

/**
 * Adds a cloner that normalizes with the statistics of its batch.
 * @param image float32 [N, 3, H, W], RGB in 0..1.
 * @param tensors trainable parameters and running statistics, by name.
 */
export function addTrainingCloner(
  graph: Graph,
  image: Value,
  layout: Layout,
  tensors: ReadonlyMap<string, Value>,
): TrainingCloner {
  const statistics = new Map<string, Value>();
  const tensor = (name: string): Value => {
    const value = tensors.get(name);
    if (!value) throw new RangeError(`the cloner's tensor ${name} is missing`);
    return value;
  };
  const pools = addBlocks(graph, image, layout, (x, spec: ConvolutionSpec) => {
    const convolved = graph.op.Conv(x, tensor(`${spec.name}.weight`), undefined, { pads: samePadding });
    if (spec.last) return convolved;
    return addBatchNormalization(graph, convolved, normalizationName(spec.name), tensor, statistics);
  });
  return { pools, statistics };
}

/** Adds batch normalization from basic operators (Ioffe and Szegedy 2015, algorithm 1), over the axes N, H and W. */
function addBatchNormalization(
  graph: Graph,
  x: Value,
  name: string,
  tensor: (name: string) => Value,
  statistics: Map<string, Value>,
): Value {
  const { op } = graph;
  const axes = [0, 2, 3];
  const channels = x.shape[1] as number;
  const mean = op.ReduceMean(x, axes);
  const centered = op.Sub(x, mean);
  const variance = op.ReduceMean(op.Mul(centered, centered), axes);
  const perChannel = (value: Value): Value => op.Reshape(value, [1, channels, 1, 1]);
  const deviation = op.Sqrt(op.Add(variance, graph.scalar(batchNormalization.epsilon)));
  const scaled = op.Mul(centered, op.Div(perChannel(tensor(`${name}.weight`)), deviation));

  const toward = (old: string, now: Value): void => {
    const { momentum } = batchNormalization;
    const kept = op.Mul(tensor(old), graph.scalar(1 - momentum));
    statistics.set(old, op.Add(kept, op.Mul(op.Reshape(now, [channels]), graph.scalar(momentum))));
  };
  // The running variance is unbiased: n / (n - 1) times the batch variance.
  const count = op.Div(op.Cast(op.Size(x), 'float32'), graph.scalar(channels));
  const unbiased = op.Mul(variance, op.Div(count, op.Sub(count, graph.scalar(1))));
  toward(`${name}.running_mean`, mean);
  toward(`${name}.running_var`, unbiased);
  return op.Add(scaled, perChannel(tensor(`${name}.bias`)));
}
