import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** Of files with the same contents the first. @returns paths, in the order given. */
export async function distinctFiles(paths: readonly string[]): Promise<string[]> {
  const seen = new Set<string>();
  const distinct: string[] = [];
  for (const path of paths) {
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    if (!seen.has(digest)) distinct.push(path);
    seen.add(digest);
  }
  return distinct;
}
