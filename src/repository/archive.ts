/** Unpacking an uploaded detector: a tar archive, gzipped or not, of the three files a detector has and nothing else. */
import { createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import type { Readable, Transform } from 'node:stream';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { detectorFiles } from '../detector/index.js';
import { RepositoryError } from './errors.js';

/** Bytes of an unpacked detector: five times those of the paper's cloner with maps of 512 x 512. */
export const defaultMaxUnpackedBytes = 64 * 2 ** 20;

/**
 * Unpacks an archive into a folder that is there and empty. Names are taken from the list of a detector's files, wherever the archive
 * has them, so that none leads out of the folder; links and devices are refused.
 * @throws RepositoryError `refused-detector` or `too-many-bytes`.
 */
export async function unpackDetector(
  archive: Readable,
  folder: string,
  maxBytes: number = defaultMaxUnpackedBytes,
): Promise<void> {
  const seen = new Set<string>();
  let bytes = 0;
  const entries = extract();
  try {
    const unpacking = pipeline(archive, await decompressed(archive), bounded(maxBytes), entries);
    unpacking.catch((error: Error) => entries.destroy(error));
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      const file = basename(name);
      if (type === 'directory' || file === '') {
        entry.resume();
        continue;
      }
      if (type !== 'file' || !detectorFiles.includes(file)) {
        throw refused(`it holds '${name}' (${type}); a detector has ${detectorFiles.join(', ')}`);
      }
      if (seen.has(file)) throw refused(`it holds ${file} twice`);
      bytes += size;
      if (bytes > maxBytes) throw tooManyBytes(maxBytes);
      seen.add(file);
      await pipeline(entry, createWriteStream(join(folder, file), { flags: 'wx' }));
    }
    await unpacking;
  } catch (error) {
    archive.destroy();
    if (error instanceof RepositoryError || isSystemError(error)) throw error;
    const { message } = error as Error;
    throw refused(/tar header/.test(message) ? 'it does not begin as one' : `it cannot be read: ${message}`);
  }
  const missing = detectorFiles.filter((file) => !seen.has(file));
  if (missing.length > 0) throw refused(`it lacks ${missing.join(', ')}`);
}

function tooManyBytes(maxBytes: number): RepositoryError {
  return new RepositoryError('too-many-bytes', `the detector has more than ${maxBytes} bytes unpacked`);
}

/** Lets so many bytes pass, and room for what an archive has around its files. */
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
    `the upload is no tar archive of a detector: ${why}; make one with tar -C <detector> -cf <archive> .`,
  );
}

/** Errors of the file system are no fault of the archive. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof Reflect.get(error, 'syscall') === 'string';
}

/** What the bytes have to go through: gzip says so with its first two. */
async function decompressed(archive: Readable): Promise<Transform> {
  const first = await firstChunk(archive);
  const gzip = first !== undefined && first[0] === 0x1f && first[1] === 0x8b;
  return gzip ? createGunzip() : new PassThrough();
}

/** The first bytes of a stream, which it still gives afterwards. */
async function firstChunk(stream: Readable): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      stream.off('readable', look).off('end', done).off('error', reject);
      resolve(undefined);
    };
    const look = (): void => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null) return;
      stream.off('readable', look).off('end', done).off('error', reject);
      stream.unshift(chunk);
      resolve(chunk);
    };
    stream.on('readable', look).on('end', done).on('error', reject);
  });
}
