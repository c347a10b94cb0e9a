/** Writing files that others read. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a file in one step: whoever reads it, at any moment or after a crash, finds the old content or the new one.
 * @param mode permissions of the file.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  try {
    await writeFile(`${path}.new`, content, { mode });
    await rename(`${path}.new`, path);
  } catch (error) {
    await rm(`${path}.new`, { force: true });
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error(`${path} cannot be written: there is no folder ${dirname(path)}`);
    }
    // Whoever is told knows of the one file only.
    throw Object.assign(error as Error, { path });
  }
}
