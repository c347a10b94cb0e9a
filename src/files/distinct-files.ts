import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface DistinctFile {
  readonly path: string;
  /** Hash of the contents. */
  readonly sha256: Buffer;
}

/** Returns the files in the order given, without duplicates of earlier ones. */
export async function distinctFiles(paths: readonly string[]): Promise<DistinctFile[]> {
  const distinct = new Map<string, DistinctFile>();
  for (const path of paths) {
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest();
    const contents = sha256.toString('hex');
    if (!distinct.has(contents)) distinct.set(contents, { path, sha256 });
  }
  return [...distinct.values()];
}
