/** Finding a detector by path, or by the name of one that ships with the package. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { modelsFolder } from './find-expert.js';

/** A detector's folder from its path, or from the name of an embedded one; the path where there is neither. */
export async function findDetector(nameOrPath: string): Promise<string> {
  for (const candidate of [nameOrPath, join(modelsFolder, nameOrPath)]) {
    if (await isDetector(candidate)) return candidate;
  }
  return nameOrPath;
}

/** Names of the subfolders that are detectors, sorted. */
export async function detectorsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => isDetector(join(folder, name))));
  return names.filter((_, index) => found[index]).sort();
}

/** Whether a folder has a manifest, sound or not. */
export async function isDetector(folder: string): Promise<boolean> {
  return (await stat(join(folder, 'manifest.json')).catch(() => undefined)) !== undefined;
}
