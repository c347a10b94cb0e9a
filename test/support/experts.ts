/** A small imported expert: distilling with it takes a fraction of the time that VGG-16 needs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importExpert } from '../../src/experts/index.js';
import { mobileModel } from './foreign-models.js';

export interface SmallExpert {
  /** Folder of the expert, for what reads its detectors. */
  readonly folder: string;
  /** Path of its card, for distillation. */
  readonly card: string;
  /** Names of its critical layers, shallow ones first. */
  readonly layers: readonly string[];
}

/** Imports the expert into a folder. */
export async function importSmallExpert(folder: string): Promise<SmallExpert> {
  const file = join(folder, 'mobile.onnx');
  const { bytes, layers: known } = mobileModel(64);
  await writeFile(file, bytes);
  const out = join(folder, 'experts');
  const layers = known.map(([name]) => name);
  const { card } = await importExpert({ file, out, layers, device: { provider: 'cpu' } });
  return { folder: out, card, layers };
}
