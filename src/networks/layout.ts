/**
 * Networks of VGG's kind as data: blocks of 3 x 3 convolutions with padding 1, each block closed by a 2 x 2
 * max pooling. Convolutions are named `conv{block}_{index}`, poolings `pool{block}`, both from 1.
 */
import type { Graph, Value } from '../onnx/index.js';

/** Output channels of each convolution, block by block. */
export type Layout = readonly (readonly number[])[];

/** A pooling after a block, where expert and cloner are compared. */
export type CriticalLayer = `pool${number}`;

/** VGG-16, configuration D (Simonyan and Zisserman 2014). */
export const expertLayout: Layout = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/** Cloner "B" of the MKD paper (Salehi et al. 2021, section 4): the expert's poolings, far less between them. */
export const paperClonerLayout: Layout = [
  [16, 16],
  [16, 128],
  [16, 16, 256],
  [16, 16, 512],
  [16, 16, 512],
];

export interface ConvolutionSpec {
  /** `conv{block}_{index}` */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Whether a pooling follows. */
  readonly last: boolean;
}

/** The convolutions of a layout in order; images have three channels. */
export function convolutions(layout: Layout): ConvolutionSpec[] {
  let inChannels = 3;
  return layout.flatMap((block, blockIndex) =>
    block.map((outChannels, index) => {
      const last = index === block.length - 1;
      const spec = { name: `conv${blockIndex + 1}_${index + 1}`, inChannels, outChannels, last };
      inChannels = outChannels;
      return spec;
    }),
  );
}

/**
 * Adds the blocks of a layout to a graph. ReLU comes after the pooling: both orders give the same values and
 * gradients, and here ReLU and its gradient touch a quarter of the entries.
 *
 * @param image float32 [N, 3, H, W]; H and W divisible by 2 to the number of blocks.
 * @param convolve adds one convolution with its normalization, if any, but without its ReLU.
 * @returns the poolings by name.
 */
export function addBlocks(
  graph: Graph,
  image: Value,
  layout: Layout,
  convolve: (x: Value, spec: ConvolutionSpec) => Value,
): ReadonlyMap<CriticalLayer, Value> {
  const { op } = graph;
  const pools = new Map<CriticalLayer, Value>();
  let x = image;
  for (const spec of convolutions(layout)) {
    const convolved = convolve(x, spec);
    if (!spec.last) {
      x = op.Relu(convolved);
      continue;
    }
    x = op.Relu(op.MaxPool(convolved, { kernel_shape: [2, 2], strides: [2, 2] }));
    pools.set(`pool${pools.size + 1}`, x);
  }
  return pools;
}

/** Padding that keeps the size of an image under a 3 x 3 convolution. */
export const samePads = [1, 1, 1, 1] as const;

/** The value of a critical layer. @throws RangeError when the network has no such layer. */
export function criticalLayer(pools: ReadonlyMap<CriticalLayer, Value>, name: CriticalLayer): Value {
  const value = pools.get(name);
  if (!value) throw new RangeError(`no critical layer '${name}'; there are ${[...pools.keys()].join(', ')}`);
  return value;
}
