/** A folder with a detector of each kind, both embedded: `sample` with a linear cloner, `sample-paper` with a convolutional one. */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { modelsFolder } from '../../src/detector/index.js';

export const kinds = ['sample', 'sample-paper'] as const;

export async function bothKinds(t: { testdir(): string }): Promise<string> {
  const folder = join(t.testdir(), 'detectors');
  await mkdir(folder);
  for (const name of kinds) await symlink(join(modelsFolder, name), join(folder, name));
  return folder;
}
