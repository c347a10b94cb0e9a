/** Reads the files of a detector, whose hashes are in its manifest. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inTurn } from '../files/turns.js';
import { readSafetensors, SafetensorsError, type TensorMap } from '../weights/safetensors.js';
import { DetectorError } from './detector-error.js';

/** Reads tensors. @throws DetectorError if the file is missing, is not the one that was written, or is damaged. */
export async function readVerified(
  folder: string,
  entry: { file: string; sha256: string },
): Promise<TensorMap> {
  const path = join(folder, entry.file);
  const bytes = await readFile(path).catch(() => {
    throw new DetectorError(`${path} cannot be read`);
  });
  const actual = await hashInTurns(bytes);
  if (actual !== entry.sha256) {
    throw new DetectorError(
      `${path} does not match the manifest: its SHA-256 is ${actual}, expected ${entry.sha256}; restore the file`,
    );
  }
  try {
    return await inTurn(() => readSafetensors(bytes));
  } catch (error) {
    if (error instanceof SafetensorsError) throw new DetectorError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Bytes that are hashed before others have their turn: a few milliseconds. */
const hashBlock = 2 ** 21;

/** Returns the SHA-256, in hexadecimal digits. */
async function hashInTurns(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let from = 0; from < bytes.length; from += hashBlock) {
    await inTurn(() => hash.update(bytes.subarray(from, from + hashBlock)));
  }
  return hash.digest('hex');
}
