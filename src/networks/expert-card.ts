/** The card of an expert: a JSON file next to its weights that describes them and how to use them. */
import { createHash } from 'node:crypto';
import { describeError } from '../files/explain.js';
import { readText } from '../files/read-text.js';
import { convolutions, expertLayout, type LayerSpec } from './layout.js';

/** How an expert's input is computed from images in 0..1: `(scale * image - mean) / deviation`, for each channel. */
export interface InputConvention {
  readonly channels: 'RGB' | 'BGR';
  readonly scale: number;
  /** Three numbers each, in the order of `channels`. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

interface CommonCard {
  readonly name: string;
  readonly sha256: string;
  readonly source: string;
  readonly license: string;
  readonly input: InputConvention;
}

/** The card of a VGG-16. */
export interface Vgg16Card extends CommonCard {
  readonly schema: 'mkd.expert/1';
  /** File name of the weights, in the card's folder. */
  readonly weights: string;
  /** Root mean square of every convolution's output after ReLU, over reference images. */
  readonly activationRms: Readonly<Record<string, number>>;
}

/** The card of any other network, an ONNX model. */
export interface ModelCard extends CommonCard {
  readonly schema: 'mkd.expert-model/1';
  /** File name of the model, in the card's folder. */
  readonly model: string;
  /** Its critical layers, shallow ones first. */
  readonly layers: readonly ModelLayer[];
  /** Of a transformer: side of its patches, in pixels. */
  readonly patch?: number;
}

export interface ModelLayer extends LayerSpec {
  /** Root mean square over reference images: activations are divided by it. */
  readonly rms: number;
}

export type ExpertCard = Vgg16Card | ModelCard;

/** The file is not a usable expert; the message says why. */
export class ExpertError extends Error {
  override readonly name = 'ExpertError';
}

/** Returns the critical layers of an expert, shallow ones first. */
export function layersOf(card: ExpertCard): readonly LayerSpec[] {
  if (card.schema === 'mkd.expert-model/1') return card.layers;
  return expertLayout.map(({ widths }, index) => ({
    name: `pool${index + 1}`,
    channels: widths.at(-1) as number,
    stride: 2 ** (index + 1),
    signed: false,
  }));
}

/** Returns a hash that identifies an expert's activations. */
export function fingerprintOf(card: ExpertCard): string {
  const { sha256, input } = card;
  const scales =
    card.schema === 'mkd.expert/1'
      ? convolutions(expertLayout).map(({ name }) => card.activationRms[name])
      : card.layers.map(({ name, rms }) => [name, rms]);
  const fingerprintInput = JSON.stringify([
    sha256,
    input.channels,
    input.scale,
    input.mean,
    input.deviation,
    scales,
  ]);
  return createHash('sha256').update(fingerprintInput).digest('hex');
}

/** Reads a card, without the weights. @throws ExpertError if it is missing or invalid. */
export async function readExpertCard(path: string): Promise<ExpertCard> {
  const text = await readText(path).catch((error: unknown) => {
    throw new ExpertError(`the expert's card cannot be read: ${describeError(error, path)}`);
  });
  let card: unknown;
  try {
    card = JSON.parse(text);
  } catch {
    throw new ExpertError(`${path} is not JSON; wanted the card of an expert`);
  }
  checkCard(card as Record<string, unknown>, path);
  return card as ExpertCard;
}

function checkCard(card: Record<string, unknown>, path: string): void {
  const wanted: Readonly<Record<string, readonly string[]>> = {
    'mkd.expert/1': ['weights', 'sha256', 'activationRms'],
    'mkd.expert-model/1': ['model', 'sha256', 'layers'],
  };
  const entries = wanted[String(card?.schema)];
  if (!entries) {
    const known = Object.keys(wanted).join("' or '");
    throw new ExpertError(`${path} has schema '${String(card?.schema)}'; wanted '${known}'`);
  }
  const missing = entries.filter((entry) => card[entry] === undefined);
  if (missing.length > 0) throw new ExpertError(`${path} has no ${missing.join(', ')}`);
  const input = card.input as Partial<InputConvention> | undefined;
  const three = (list: unknown): boolean =>
    Array.isArray(list) && list.length === 3 && list.every(Number.isFinite);
  if (!input || !three(input.mean) || !three(input.deviation) || !Number.isFinite(input.scale)) {
    throw new ExpertError(`${path} has no valid input convention (channels, scale, mean, deviation)`);
  }
}
