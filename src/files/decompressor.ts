/** Archives that may be compressed with gzip. */
import { PassThrough, type Readable, type Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** Returns the decompressor for the bytes: gzip starts with 1f 8b. */
export async function decompressor(archive: Readable): Promise<Transform> {
  const first = await firstChunk(archive);
  const gzip = first !== undefined && first[0] === 0x1f && first[1] === 0x8b;
  return gzip ? createGunzip() : new PassThrough();
}

/** Returns the first bytes of a stream without consuming them. */
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
