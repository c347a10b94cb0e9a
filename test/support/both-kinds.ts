/** A folder with a detector of each kind: the embedded one, and one with a convolutional cloner, maps of layers and neighbors. */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelsFolder } from '../../src/detector/index.js';

export const convolutionalDetector = fileURLToPath(
  new URL('../../../test/models/convolutional', import.meta.url),
);

/** Makes the folder: `sample` and `convolutional`. */
export async function bothKinds(t: { testdir(): string }): Promise<string> {
  const folder = join(t.testdir(), 'detectors');
  await mkdir(folder);
  await symlink(join(modelsFolder, 'sample'), join(folder, 'sample'));
  await symlink(convolutionalDetector, join(folder, 'convolutional'));
  return folder;
}
