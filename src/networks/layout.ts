/**
 * VGG-like networks as data: blocks of 3 x 3 convolutions with padding 1, most of them followed by 2 x 2 max pooling.
 * Convolutions are named `conv{block}_{index}`, from 1. A block may end in a critical layer.
 */
import type { Graph, Value } from '../onnx/index.js';

/** Name of a layer at which expert and cloner are compared: `pool3`, or a value of an imported model. */
export type CriticalLayer = string;

export interface Block {
  /** Output channels of each convolution. */
  readonly widths: readonly number[];
  /** Whether it ends with a pooling. */
  readonly pool: boolean;
  /** The critical layer at its end, if any. */
  readonly layer?: CriticalLayer;
  /** Whether that layer is compared before ReLU, because the expert's layer has negative entries. */
  readonly signed?: boolean;
}

export type Layout = readonly Block[];

/** Properties of an expert's critical layer that the cloner must match. */
export interface LayerSpec {
  readonly name: CriticalLayer;
  readonly channels: number;
  /** Side of the input divided by the side of the layer. */
  readonly stride: number;
  /** Whether it has negative entries. */
  readonly signed: boolean;
}

const pooled = (...widths: number[][]): Layout =>
  widths.map((block, index) => ({ widths: block, pool: true, layer: `pool${index + 1}` }));

/** VGG-16, configuration D (Simonyan and Zisserman 2014). */
export const expertLayout: Layout = pooled(
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
);

/** Channels of the paper's cloner between critical layers. */
export const paperClonerWidth = 16;

/**
 * Cloner "B" of the MKD paper (Salehi et al. 2021, section 4): the poolings and critical layers of VGG-16 with narrow
 * layers between them.
 */
export const paperClonerLayout: Layout = pooled(
  [paperClonerWidth, paperClonerWidth],
  [paperClonerWidth, 128],
  [paperClonerWidth, paperClonerWidth, 256],
  [paperClonerWidth, paperClonerWidth, 512],
  [paperClonerWidth, paperClonerWidth, 512],
);

/**
 * Returns the layout of a cloner for any expert: critical layers of the same size, narrow layers between them.
 * @param layers in the order of the expert; strides are powers of two and do not decrease.
 * @param width channels between critical layers.
 */
export function clonerLayout(layers: readonly LayerSpec[], width: number): Layout {
  const blocks: Block[] = [];
  let stride = 1;
  for (const { name, channels, stride: wanted, signed } of layers) {
    for (; 2 * stride < wanted; stride *= 2) blocks.push({ widths: [width, width], pool: true });
    const pool = wanted > stride;
    blocks.push({ widths: [width, width, channels], pool, layer: name, ...(signed ? { signed } : {}) });
    stride = wanted;
  }
  return blocks;
}

export interface ConvolutionSpec {
  /** `conv{block}_{index}` */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Whether it is the last of its block. */
  readonly last: boolean;
}

/** Returns the convolutions of a layout in order; images have three channels. */
export function convolutions(layout: Layout): ConvolutionSpec[] {
  return convolutionsOfBlocks(layout).flat();
}

function convolutionsOfBlocks(layout: Layout): ConvolutionSpec[][] {
  let inChannels = 3;
  return layout.map(({ widths }, block) =>
    widths.map((outChannels, index) => {
      const last = index === widths.length - 1;
      const spec = { name: `conv${block + 1}_${index + 1}`, inChannels, outChannels, last };
      inChannels = outChannels;
      return spec;
    }),
  );
}

/**
 * Adds the blocks of a layout to a graph. ReLU comes after the pooling: both orders have the same values and gradients,
 * and in this one ReLU and its gradient process a quarter of the entries.
 *
 * @param image float32 [N, 3, H, W]; H and W divisible by 2^(number of poolings).
 * @param convolve adds one convolution with its normalization, if any, but without ReLU.
 * @returns the critical layers by name.
 */
export function addBlocks(
  graph: Graph,
  image: Value,
  layout: Layout,
  convolve: (x: Value, spec: ConvolutionSpec) => Value,
): ReadonlyMap<CriticalLayer, Value> {
  const { op } = graph;
  const layers = new Map<CriticalLayer, Value>();
  const specs = convolutionsOfBlocks(layout);
  let x = image;
  for (const [index, { pool, layer, signed }] of layout.entries()) {
    let end = x;
    for (const spec of specs[index] as ConvolutionSpec[]) {
      end = convolve(x, spec);
      if (!spec.last) x = op.Relu(end);
    }
    if (pool) end = op.MaxPool(end, { kernel_shape: [2, 2], strides: [2, 2] });
    x = op.Relu(end);
    if (layer !== undefined) layers.set(layer, signed ? end : x);
  }
  return layers;
}

/** Padding with which a 3 x 3 convolution keeps the image size. */
export const samePadding = [1, 1, 1, 1] as const;

/** Returns the value of a critical layer. @throws RangeError if the network has no such layer. */
export function criticalLayer(layers: ReadonlyMap<CriticalLayer, Value>, name: CriticalLayer): Value {
  const value = layers.get(name);
  if (!value)
    throw new RangeError(`no critical layer '${name}'; choose from ${[...layers.keys()].join(', ')}`);
  return value;
}
