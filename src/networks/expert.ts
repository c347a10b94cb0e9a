/**
 * The expert in memory and in graphs: VGG-16 trained on ImageNet, or another network as an ONNX model. The graph
 * includes the input convention and rescales activations to unit size, so that layers can be compared.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeError } from '../files/explain.js';
import { addForeignModel, decodeModel, type ForeignModel, type Graph, type Value } from '../onnx/index.js';
import type { Precision } from '../runtime/index.js';
import { floatTensor, readSafetensors, type TensorMap } from '../weights/safetensors.js';
import { addDenseConvolution, type ConvolutionWeights, isDense } from './dense-convolution.js';
import {
  ExpertError,
  fingerprintOf,
  type InputConvention,
  type ModelCard,
  readExpertCard,
  type Vgg16Card,
} from './expert-card.js';
import { useHalfPrecision } from './half-precision.js';
import { addBlocks, type CriticalLayer, convolutions, expertLayout, samePadding } from './layout.js';
import { addPatchScaling, addTokenGrid, patchStride } from './tokens.js';

interface Common {
  /** SHA-256 over everything that determines its activations: weights, input convention, rescaling. */
  readonly fingerprint: string;
}

/** A VGG-16; weights are in RGB order and rescaled. */
export interface Vgg16Expert extends Common {
  readonly card: Vgg16Card;
  readonly weights: ReadonlyMap<string, ConvolutionWeights>;
}

/** Any other network. */
export interface ModelExpert extends Common {
  readonly card: ModelCard;
  readonly model: ForeignModel;
}

export type Expert = Vgg16Expert | ModelExpert;

/** Loads the expert of a card. @throws ExpertError if card or weights are missing, invalid or do not match. */
export async function loadExpert(cardPath: string): Promise<Expert> {
  const card = await readExpertCard(cardPath);
  const file = card.schema === 'mkd.expert/1' ? card.weights : card.model;
  const path = join(dirname(cardPath), file);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new ExpertError(`the expert's weights cannot be read: ${describeError(error, path)}`);
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== card.sha256) {
    throw new ExpertError(`${file} has SHA-256 ${sha256}; its card says ${card.sha256}`);
  }
  if (card.schema === 'mkd.expert/1') return vgg16Expert(card, readSafetensors(bytes));
  return { card, fingerprint: fingerprintOf(card), model: decodeModel(bytes) };
}

/** Creates an expert from its card and weights. @throws ExpertError if they do not fit VGG-16. */
export function vgg16Expert(card: Vgg16Card, tensors: TensorMap): Vgg16Expert {
  return { card, fingerprint: fingerprintOf(card), weights: rescaled(tensors, card) };
}

/**
 * Adds the expert to a graph.
 * @param image float32 [N, 3, H, W], RGB in 0..1.
 * @param precision of its convolutions; layers are float32 in any case.
 * @returns its critical layers by name, rescaled to unit activations.
 */
export function addExpert(
  graph: Graph,
  image: Value,
  expert: Expert,
  precision: Precision = 'float32',
): ReadonlyMap<CriticalLayer, Value> {
  const from = graph.nodes.length;
  const pools = 'model' in expert ? addModel(graph, image, expert) : addVgg16(graph, image, expert);
  if (precision === 'float16') useHalfPrecision(graph, graph.nodes.slice(from));
  return pools;
}

/**
 * Adds a VGG-16 to a graph, like {@link addExpert}.
 * @param onConvolution called with every convolution's output, before ReLU.
 */
export function addVgg16(
  graph: Graph,
  image: Value,
  expert: Vgg16Expert,
  onConvolution: (name: string, convolved: Value) => void = () => {},
): ReadonlyMap<CriticalLayer, Value> {
  const normalized = addInputConvention(graph, image, expert.card.input);
  return addBlocks(graph, normalized, expertLayout, (x, { name, inChannels, outChannels }) => {
    const weights = expert.weights.get(name);
    if (!weights) throw new ExpertError(`the expert has no weights for ${name}`);
    const convolved = isDense(x)
      ? addDenseConvolution(graph, x, weights, `expert.${name}`)
      : addConvolution(graph, x, weights, [outChannels, inChannels, 3, 3], `expert.${name}`);
    onConvolution(name, convolved);
    return convolved;
  });
}

function addConvolution(
  graph: Graph,
  x: Value,
  { kernel, bias }: ConvolutionWeights,
  shape: readonly number[],
  name: string,
): Value {
  const weights = graph.constant({ type: 'float32', shape, data: kernel }, `${name}.weight`);
  const shift = graph.constant({ type: 'float32', shape: [bias.length], data: bias }, `${name}.bias`);
  return graph.op.Conv(x, weights, shift, { pads: samePadding });
}

function addModel(
  graph: Graph,
  image: Value,
  { card, model }: ModelExpert,
): ReadonlyMap<CriticalLayer, Value> {
  const planes = card.input.channels === 'BGR' ? reversedPlanes(graph, image) : image;
  const normalized = addInputConvention(graph, planes, { ...card.input, channels: 'RGB' });
  const scaled = card.patch === undefined ? normalized : addPatchScaling(graph, normalized, card.patch);
  const names = card.layers.map(({ name }) => name);
  const values = addForeignModel(graph, model, scaled, names, 'expert.');
  return new Map(
    card.layers.map(({ name, rms }, index) => {
      const activations = onGrid(graph, image, values[index] as Value, card.patch);
      return [name, graph.op.Mul(activations, graph.scalar(1 / rms))];
    }),
  );
}

/** Brings tokens of a transformer to a grid; other activations stay. */
function onGrid(graph: Graph, image: Value, activations: Value, patch: number | undefined): Value {
  if (patch === undefined || activations.shape.length !== 3) return activations;
  const [rows, columns] = image.shape.slice(2).map((side) => (side as number) / patchStride(patch)) as [
    number,
    number,
  ];
  return addTokenGrid(graph, activations, [rows, columns]) ?? activations;
}

function reversedPlanes(graph: Graph, image: Value): Value {
  const plane = (at: number): Value => graph.op.Slice(image, [at], [at + 1], [1]);
  return graph.op.Concat([plane(2), plane(1), plane(0)], 1);
}

/** @param image RGB; a BGR convention is reversed to match. */
function addInputConvention(graph: Graph, image: Value, input: InputConvention): Value {
  const [mean, deviation] = [input.mean, input.deviation].map((numbers) =>
    input.channels === 'RGB' ? [...numbers] : [...numbers].reverse(),
  ) as [number[], number[]];
  // The runtime multiplies by one number faster than by one for each channel.
  const vector = ([first, ...others]: number[]): Value =>
    others.every((other) => other === first)
      ? graph.scalar(first as number)
      : graph.constant({
          type: 'float32',
          shape: [1, 3, 1, 1],
          data: Float32Array.from([first as number, ...others]),
        });
  const scaled = graph.op.Mul(image, vector(deviation.map((value) => input.scale / value)));
  return graph.op.Sub(scaled, vector(mean.map((value, channel) => value / (deviation[channel] as number))));
}

/**
 * Rescales activations to unit size. ReLU and max pooling are positively homogeneous: with the kernel times r[k-1]/r[k]
 * and the bias over r[k], activations are the original ones over r[k]. Direction discrepancies do not change.
 */
function rescaled(tensors: TensorMap, card: Vgg16Card): Vgg16Expert['weights'] {
  const weights = new Map<string, ConvolutionWeights>();
  let before = 1;
  for (const { name, inChannels, outChannels } of convolutions(expertLayout)) {
    const rms = card.activationRms[name];
    if (!rms || !(rms > 0)) throw new ExpertError(`the card has no activationRms above 0 for ${name}`);
    const { shape, data } = floatTensor(tensors, `${name}.weight`);
    const bias = floatTensor(tensors, `${name}.bias`).data;
    if (shape.join() !== [outChannels, inChannels, 3, 3].join() || bias.length !== outChannels) {
      throw new ExpertError(
        `${name}.weight is [${shape.join(', ')}]; VGG-16 has [${outChannels}, ${inChannels}, 3, 3]`,
      );
    }
    const ordered =
      inChannels === 3 && card.input.channels === 'BGR' ? reverseChannels(data, outChannels) : data;
    const factor = before / rms;
    weights.set(name, {
      kernel: ordered.map((value) => value * factor),
      bias: bias.map((value) => value / rms),
    });
    before = rms;
  }
  return weights;
}

/** Converts a kernel [out, 3, 3, 3] from BGR to RGB. */
function reverseChannels(kernel: Float32Array, outChannels: number): Float32Array {
  const reversed = new Float32Array(kernel.length);
  for (let out = 0; out < outChannels; out++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = (out * 3 + channel) * 9;
      reversed.set(kernel.subarray(from, from + 9), (out * 3 + 2 - channel) * 9);
    }
  }
  return reversed;
}
