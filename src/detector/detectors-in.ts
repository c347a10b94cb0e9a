/** Finds folders that are detectors. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Returns the names of the subfolders that are detectors, sorted. */
export async function detectorsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => isDetector(join(folder, name))));
  return names.filter((_, index) => found[index]).sort();
}

/** Returns whether a folder has a manifest, valid or not. */
export async function isDetector(folder: string): Promise<boolean> {
  return (await stat(join(folder, 'manifest.json')).catch(() => undefined)) !== undefined;
}
