/** Reads files into memory that threads share. */
import { open } from 'node:fs/promises';

/**
 * Reads a file into shared memory: what is sent of it to a worker is not copied, and the garbage collector has nothing to
 * move.
 * @throws the error of the file system.
 */
export async function readShared(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const bytes = new Uint8Array(new SharedArrayBuffer(size));
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(bytes, at, size - at, at);
      // It was cut in the meantime.
      if (bytesRead === 0) return bytes.subarray(0, at);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
