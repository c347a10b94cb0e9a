import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface DistinctFile {
  readonly path: string;
  /** Of its contents. */
  readonly sha256: Buffer;
}

/** Of files with the same contents the first, in the order given. */
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
