/** Writing files that others read. */
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/**
 * Writes a file in one step: a reader, at any moment or after a crash, finds the old content or the new one.
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
    // The reader of the message knows this file, not the temporary one.
    throw Object.assign(error as Error, { path });
  }
}
