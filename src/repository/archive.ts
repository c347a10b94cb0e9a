/** Unpacks an uploaded detector: a tar archive, gzipped or not, with exactly the three files of a detector. */
import { createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { detectorFiles, kindOfFile } from '../detector/index.js';
import { decompressor } from '../files/decompressor.js';
import { tarEntries } from '../files/tar-entries.js';
import { RepositoryError } from './errors.js';

/** Bytes of an unpacked detector: five times the paper's cloner with maps of 512 x 512. */
export const defaultMaxUnpackedBytes = 64 * 2 ** 20;

/**
 * Unpacks an archive into an existing, empty folder. Only the base names of a detector's files are used, so that no
 * path leads out of the folder; links and devices are refused.
 * @throws RepositoryError `refused-detector` or `too-many-bytes`.
 */
export async function unpackDetector(
  archive: Readable,
  folder: string,
  maxBytes: number = defaultMaxUnpackedBytes,
): Promise<void> {
  const seen = new Set<string>();
  let bytes = 0;
  const entries = tarEntries(async (into) =>
    pipeline(archive, await decompressor(archive), bounded(maxBytes), into),
  );
  try {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      const file = basename(name);
      // macOS adds files whose names begin with a dot.
      if (type === 'directory' || file === '' || file.startsWith('.')) {
        entry.resume();
        continue;
      }
      const kind = kindOfFile(file);
      if (type !== 'file' || kind === undefined) {
        throw refused(`it contains '${name}' (${type}); a detector has ${detectorFiles.join(', ')}`);
      }
      if (seen.has(kind)) throw refused(`it contains ${kind} twice`);
      bytes += size;
      if (bytes > maxBytes) throw tooManyBytes(maxBytes);
      seen.add(kind);
      await pipeline(entry, createWriteStream(join(folder, file), { flags: 'wx' }));
    }
  } catch (error) {
    archive.destroy();
    if (error instanceof RepositoryError || isSystemError(error)) throw error;
    const { message } = error as Error;
    throw refused(
      /tar header/.test(message) ? 'it does not start like one' : `it cannot be read: ${message}`,
    );
  }
  const missing = detectorFiles.filter((file) => !seen.has(file));
  if (missing.length > 0) throw refused(`it lacks ${missing.join(', ')}`);
}

function tooManyBytes(maxBytes: number): RepositoryError {
  return new RepositoryError(
    'too-many-bytes',
    `the unpacked detector has more than ${maxBytes} bytes, the maximum`,
  );
}

/** Passes up to `maxBytes` bytes plus the overhead of an archive. @throws RepositoryError `too-many-bytes` */
function bounded(maxBytes: number) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let left = maxBytes + archiveOverhead;
    for await (const chunk of source) {
      left -= chunk.length;
      if (left < 0) throw tooManyBytes(maxBytes);
      yield chunk;
    }
  };
}

/** Bytes of headers and padding. */
const archiveOverhead = 2 ** 20;

function refused(why: string): RepositoryError {
  return new RepositoryError(
    'refused-detector',
    `the upload is not a tar archive of a detector: ${why}; create one with tar -C <detector> -cf <archive> .`,
  );
}

/** Errors of the file system are not the fault of the archive. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof Reflect.get(error, 'syscall') === 'string';
}
