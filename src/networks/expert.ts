/**
 * The expert: VGG-16 trained on ImageNet, without its fully connected layers. Its input convention is part of
 * the graph, and its activations are rescaled to unit size, so that discrepancies of layers can be compared.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Graph, Value } from '../onnx/index.js';
import { floatTensor, readSafetensors, type TensorMap } from '../weights/safetensors.js';
import { addBlocks, type CriticalLayer, convolutions, expertLayout, samePads } from './layout.js';

/** How an expert wants its input, given images in 0..1: `(scale * image - mean) / deviation`, by channel. */
export interface InputConvention {
  readonly channels: 'RGB' | 'BGR';
  readonly scale: number;
  /** Three numbers each, in the order of `channels`. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** The JSON file beside an expert's weights. */
export interface ExpertCard {
  readonly schema: 'mkd.expert/1';
  readonly name: string;
  /** File name of the weights, in the card's folder. */
  readonly weights: string;
  readonly sha256: string;
  readonly source: string;
  readonly license: string;
  readonly input: InputConvention;
  /** Root mean square of every convolution's output after ReLU, over reference images. */
  readonly activationRms: Readonly<Record<string, number>>;
}

/** An expert in memory: weights in RGB order, rescaled. */
export interface Expert {
  readonly card: ExpertCard;
  /** SHA-256 over all that determines its activations: weights, input convention, rescaling. */
  readonly fingerprint: string;
  readonly weights: ReadonlyMap<string, { readonly kernel: Float32Array; readonly bias: Float32Array }>;
}

/** The file is no usable expert; the message says what is wrong. */
export class ExpertError extends Error {
  override readonly name = 'ExpertError';
}

/** Reads a card without its weights. @throws ExpertError when it is no card of an expert. */
export async function readExpertCard(path: string): Promise<ExpertCard> {
  return parseCard(await readText(path), path);
}

/** Reads an expert by its card. @throws ExpertError when card or weights are not what they should be. */
export async function loadExpert(cardPath: string): Promise<Expert> {
  const card = await readExpertCard(cardPath);
  const bytes = await readFile(join(dirname(cardPath), card.weights)).catch((error: Error) => {
    throw new ExpertError(`the expert's weights cannot be read: ${error.message}`);
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== card.sha256) {
    throw new ExpertError(`${card.weights} has SHA-256 ${sha256}; its card says ${card.sha256}`);
  }
  return expertFrom(card, readSafetensors(bytes));
}

/** An expert from its card and the tensors of its weights. @throws ExpertError when they do not fit VGG-16. */
export function expertFrom(card: ExpertCard, tensors: TensorMap): Expert {
  return { card, fingerprint: fingerprintOf(card), weights: rescaled(tensors, card) };
}

/** What identifies an expert's activations. */
export function fingerprintOf(card: ExpertCard): string {
  const { sha256, input, activationRms } = card;
  const essence = JSON.stringify([
    sha256,
    input.channels,
    input.scale,
    input.mean,
    input.deviation,
    convolutions(expertLayout).map(({ name }) => activationRms[name]),
  ]);
  return createHash('sha256').update(essence).digest('hex');
}

/**
 * Adds the expert to a graph.
 * @param image float32 [N, 3, H, W], RGB in 0..1.
 * @param onConvolution is told of every convolution's output, before ReLU.
 * @returns the poolings `pool1` to `pool5`, rescaled to unit activations.
 */
export function addExpert(
  graph: Graph,
  image: Value,
  expert: Expert,
  onConvolution: (name: string, convolved: Value) => void = () => {},
): ReadonlyMap<CriticalLayer, Value> {
  const normalized = addInputConvention(graph, image, expert.card.input);
  return addBlocks(graph, normalized, expertLayout, (x, { name, inChannels, outChannels }) => {
    const weights = expert.weights.get(name);
    if (!weights) throw new ExpertError(`the expert has no ${name}`);
    const shape = [outChannels, inChannels, 3, 3];
    const kernel = graph.constant({ type: 'float32', shape, data: weights.kernel }, `expert.${name}.weight`);
    const bias = graph.constant(
      { type: 'float32', shape: [outChannels], data: weights.bias },
      `expert.${name}.bias`,
    );
    const convolved = graph.op.Conv(x, kernel, bias, { pads: samePads });
    onConvolution(name, convolved);
    return convolved;
  });
}

function addInputConvention(graph: Graph, image: Value, input: InputConvention): Value {
  const [mean, deviation] = [input.mean, input.deviation].map((numbers) =>
    input.channels === 'RGB' ? [...numbers] : [...numbers].reverse(),
  ) as [number[], number[]];
  const vector = (numbers: number[]): Value =>
    graph.constant({ type: 'float32', shape: [1, 3, 1, 1], data: Float32Array.from(numbers) });
  const scaled = graph.op.Mul(image, vector(deviation.map((value) => input.scale / value)));
  return graph.op.Sub(scaled, vector(mean.map((value, channel) => value / (deviation[channel] as number))));
}

/**
 * ReLU and max pooling are positively homogeneous: with the kernel times r[k-1]/r[k] and the bias over r[k],
 * every activation is the original one over r[k], and direction discrepancies stay as they were.
 */
function rescaled(tensors: TensorMap, card: ExpertCard): Expert['weights'] {
  const weights = new Map<string, { kernel: Float32Array; bias: Float32Array }>();
  let before = 1;
  for (const { name, inChannels, outChannels } of convolutions(expertLayout)) {
    const rms = card.activationRms[name];
    if (!rms || !(rms > 0)) throw new ExpertError(`the card gives no activationRms for ${name}`);
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

/** A kernel [out, 3, 3, 3] for RGB from one for BGR. */
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

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ExpertError(`the expert's card cannot be read: ${(error as Error).message}`);
  }
}

function parseCard(text: string, path: string): ExpertCard {
  let card: Partial<ExpertCard>;
  try {
    card = JSON.parse(text) as Partial<ExpertCard>;
  } catch {
    throw new ExpertError(`${path} is no JSON`);
  }
  const three = (list: unknown): boolean =>
    Array.isArray(list) && list.length === 3 && list.every(Number.isFinite);
  const { input, schema, weights, sha256, activationRms } = card;
  if (schema !== 'mkd.expert/1')
    throw new ExpertError(`${path} has schema '${schema}'; wanted 'mkd.expert/1'`);
  if (typeof weights !== 'string' || typeof sha256 !== 'string' || !activationRms) {
    throw new ExpertError(`${path} lacks weights, sha256 or activationRms`);
  }
  if (!input || !three(input.mean) || !three(input.deviation) || !Number.isFinite(input.scale)) {
    throw new ExpertError(`${path} gives no input convention (channels, scale, mean, deviation)`);
  }
  return card as ExpertCard;
}
