/** Imports an expert: checks its weights, measures its activations, and writes both weights and card. */
import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { describeError } from '../files/explain.js';
import { makeFolder } from '../files/folders.js';
import {
  convolutions,
  type ExpertCard,
  ExpertError,
  expertLayout,
  fingerprintOf,
  type InputConvention,
  readExpertCard,
  type Vgg16Card,
  vgg16Expert,
} from '../networks/index.js';
import { Device, type DeviceOptions } from '../runtime/index.js';
import { writeSafetensors } from '../weights/safetensors.js';
import { measureActivationRms } from './activation-rms.js';
import { measureLayers } from './measure-layers.js';
import { decodedModel, type Origin, vgg16FromOnnx, vgg16FromSafetensors } from './read-vgg16.js';
import { referenceImages } from './reference-images.js';

export interface ImportExpertOptions {
  /** A .safetensors or .onnx file. */
  readonly file: string;
  /** Critical layers, if the network is not VGG-16: values of the .onnx file, or nodes that compute them. */
  readonly layers?: readonly string[];
  /** Folder for the weights and the card. */
  readonly out: string;
  /** The input convention of the weights; by default derived from the tensor names. */
  readonly input?: Origin;
  readonly device?: DeviceOptions;
}

/** Input conventions of the two common VGG-16 trainings. */
export const inputConventions: Readonly<Record<Origin, InputConvention>> = {
  torchvision: { channels: 'RGB', scale: 1, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  caffe: { channels: 'BGR', scale: 255, mean: [103.939, 116.779, 123.68], deviation: [1, 1, 1] },
};

/** Imports an expert. @returns the path of its card. @throws ExpertError if the file is not a usable expert. */
export async function importExpert(
  options: ImportExpertOptions,
): Promise<{ card: string; fingerprint: string }> {
  const bytes = await readFile(options.file).catch((error: unknown) => {
    throw new ExpertError(`the expert cannot be read: ${describeError(error)}`);
  });
  const extension = extname(options.file).toLowerCase();
  if (extension !== '.onnx' && extension !== '.safetensors') {
    throw new ExpertError(`${basename(options.file)}: wanted a .safetensors or .onnx file`);
  }
  if (options.layers && extension !== '.onnx') {
    throw new ExpertError('critical layers need an .onnx file; a .safetensors file has no layers');
  }
  const device = await Device.open(options.device);
  try {
    const { card, weights } = options.layers
      ? { card: await modelCard(device, bytes, options, options.layers), weights: bytes }
      : await vgg16Card(device, bytes, options);
    const path = join(options.out, `${card.name}.json`);
    await checkNameFree(path, card);
    await makeFolder(options.out);
    const file = card.schema === 'mkd.expert/1' ? card.weights : card.model;
    await writeFile(join(options.out, file), weights);
    await writeFile(path, `${JSON.stringify(card, null, 2)}\n`);
    return { card: path, fingerprint: fingerprintOf(card) };
  } finally {
    await device.close();
  }
}

/** @throws ExpertError if another expert has this name, because its detectors would lose it. */
async function checkNameFree(path: string, card: ExpertCard): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there && fingerprintOf(await readExpertCard(path)) !== fingerprintOf(card)) {
    throw new ExpertError(`${path} is another expert; rename the file, or choose another folder with --out`);
  }
}

type Source = Pick<ImportExpertOptions, 'file' | 'input'>;

/** Returns the entries common to all cards. @param weights the file written next to the card. */
function commonCard({ file, input }: Source, weights: Uint8Array, origin: Origin) {
  return {
    name: basename(file, extname(file)),
    sha256: createHash('sha256').update(weights).digest('hex'),
    source: `imported from ${basename(file)}`,
    license: 'see the source',
    input: inputConventions[input ?? origin],
  };
}

async function vgg16Card(
  device: Device,
  bytes: Uint8Array,
  source: Source,
): Promise<{ card: Vgg16Card; weights: Uint8Array }> {
  const onnx = extname(source.file).toLowerCase() === '.onnx';
  const { tensors, origin } = onnx ? vgg16FromOnnx(bytes) : vgg16FromSafetensors(bytes);
  const weights = writeSafetensors(tensors);
  const common = commonCard(source, weights, origin);
  const unscaled: Vgg16Card = {
    schema: 'mkd.expert/1',
    ...common,
    weights: `${common.name}.safetensors`,
    activationRms: Object.fromEntries(convolutions(expertLayout).map(({ name }) => [name, 1])),
  };
  const activationRms = await measureActivationRms(device, vgg16Expert(unscaled, tensors), referenceImages());
  const dead = Object.entries(activationRms).find(([, rms]) => !(rms > 0));
  if (dead) throw new ExpertError(`this VGG-16 is not trained: ${dead[0]} is 0 for all reference images`);
  return { card: { ...unscaled, activationRms }, weights };
}

async function modelCard(
  device: Device,
  bytes: Uint8Array,
  source: Source,
  layers: readonly string[],
): Promise<ExpertCard> {
  const common = commonCard(source, bytes, 'torchvision');
  const model = decodedModel(bytes);
  return {
    schema: 'mkd.expert-model/1',
    ...common,
    model: basename(source.file),
    ...(await measureLayers(device, model, common.input, layers)),
  };
}
