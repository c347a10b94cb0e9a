/** Atomic writes of files that other processes read. */
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/**
 * Writes a file atomically: at any time, even after a crash, readers see either the old content or the new.
 * @param mode permissions of the file.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  try {
    const data =
      typeof content === 'string' ? content : Buffer.from(content.buffer, content.byteOffset, content.length);
    await writeFileAtomic(path, data, mode === undefined ? {} : { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error(`${path} cannot be written: there is no folder ${dirname(path)}`);
    }
    // The error names the temporary file, which the user does not know.
    throw Object.assign(error as Error, { path });
  }
}
