/** Bringing another VGG-16: its weights are checked, measured, and written with a card of their own. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import {
  convolutions,
  type ExpertCard,
  ExpertError,
  expertFrom,
  expertLayout,
  fingerprintOf,
  type InputConvention,
} from '../networks/index.js';
import { Device, type DeviceOptions } from '../runtime/index.js';
import { writeSafetensors } from '../weights/safetensors.js';
import { measureActivationRms } from './activation-rms.js';
import { type Origin, vgg16FromOnnx, vgg16FromSafetensors } from './read-vgg16.js';
import { referenceImages } from './reference-images.js';

export interface ImportExpertOptions {
  /** A .safetensors or .onnx file. */
  readonly file: string;
  /** Folder for the weights and the card. */
  readonly out: string;
  /** The input the weights were trained for; by default told from the names of the tensors. */
  readonly input?: Origin;
  readonly device?: DeviceOptions;
}

/** What the two usual trainings of VGG-16 expect. */
export const inputConventions: Readonly<Record<Origin, InputConvention>> = {
  torchvision: { channels: 'RGB', scale: 1, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  caffe: { channels: 'BGR', scale: 255, mean: [103.939, 116.779, 123.68], deviation: [1, 1, 1] },
};

/** @returns the path of the card. @throws ExpertError when the file is no VGG-16. */
export async function importExpert(
  options: ImportExpertOptions,
): Promise<{ card: string; fingerprint: string }> {
  const bytes = await readFile(options.file).catch((error: Error) => {
    throw new ExpertError(`${options.file} cannot be read: ${error.message}`);
  });
  const extension = extname(options.file).toLowerCase();
  if (extension !== '.onnx' && extension !== '.safetensors') {
    throw new ExpertError(`${basename(options.file)}: wanted a .safetensors or .onnx file`);
  }
  const { tensors, origin } = extension === '.onnx' ? vgg16FromOnnx(bytes) : vgg16FromSafetensors(bytes);
  const stem = basename(options.file, extname(options.file));
  const weights = writeSafetensors(tensors);
  const unscaled: ExpertCard = {
    schema: 'mkd.expert/1',
    name: stem,
    weights: `${stem}.safetensors`,
    sha256: createHash('sha256').update(weights).digest('hex'),
    source: `imported from ${basename(options.file)}`,
    license: 'see the source',
    input: inputConventions[options.input ?? origin],
    activationRms: Object.fromEntries(convolutions(expertLayout).map(({ name }) => [name, 1])),
  };
  const device = await Device.open(options.device);
  try {
    const activationRms = await measureActivationRms(
      device,
      expertFrom(unscaled, tensors),
      referenceImages(),
    );
    const dead = Object.entries(activationRms).find(([, rms]) => !(rms > 0));
    if (dead) throw new ExpertError(`this VGG-16 is not trained: ${dead[0]} never answers to an image`);
    const card: ExpertCard = { ...unscaled, activationRms };
    await mkdir(options.out, { recursive: true });
    await writeFile(join(options.out, card.weights), weights);
    const path = join(options.out, `${stem}.json`);
    await writeFile(path, `${JSON.stringify(card, null, 2)}\n`);
    return { card: path, fingerprint: fingerprintOf(card) };
  } finally {
    await device.close();
  }
}
