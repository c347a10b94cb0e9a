/** Writing files that others read. */
import { rename, writeFile } from 'node:fs/promises';

/**
 * Writes a file in one step: whoever reads it, at any moment or after a crash, finds the old content or the new one.
 * @param mode permissions of the file.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  await writeFile(`${path}.new`, content, { mode });
  await rename(`${path}.new`, path);
}
