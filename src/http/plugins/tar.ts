/** Reads the files of an uploaded tar archive, gzipped or not. */
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { decompressor } from '../../files/decompressor.js';
import { tarEntries } from '../../files/tar-entries.js';
import type { Part } from './parts.js';
import { ProblemError } from './problems.js';

export interface TarLimits {
  /** Bytes of a file. */
  readonly bytes: number;
  readonly files: number;
  /** Returns what an archive with more files gets. */
  readonly tooMany: () => ProblemError;
}

/**
 * Reads an archive file by file; folders, links and hidden files are passed over.
 * @throws ProblemError if it is no archive, or exceeds the limits; what `onFile` throws.
 */
export async function readTar(
  archive: Readable,
  limits: TarLimits,
  onFile: (file: Part) => Promise<void>,
): Promise<void> {
  const entries = tarEntries(async (into) => pipeline(archive, await decompressor(archive), into));
  let files = 0;
  /** Why a file was not taken: no fault of the archive. */
  let refusal: unknown;
  const take = (file: Part): Promise<void> =>
    onFile(file).catch((error: unknown) => {
      refusal = error;
      throw error;
    });
  try {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      const file = basename(name);
      if (type !== 'file' || file.startsWith('.')) {
        entry.resume();
        continue;
      }
      if (++files > limits.files) throw limits.tooMany();
      const isCut = size > limits.bytes;
      if (isCut) entry.resume();
      await take({
        field: /^region\.(json|png)$/.test(file) ? 'region' : 'photo',
        name: file,
        type: 'application/octet-stream',
        isCut,
        bytes: isCut ? Buffer.alloc(0) : await buffer(entry),
      });
    }
  } catch (error) {
    archive.destroy();
    if (error === refusal || error instanceof ProblemError) throw error;
    throw new ProblemError(
      'bad-request',
      `the archive cannot be read: ${(error as Error).message}; create one with tar -cf photos.tar PHOTOS`,
    );
  }
}
