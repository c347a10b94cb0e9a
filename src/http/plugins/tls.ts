/** The certificate of an HTTPS service; a renewed certificate is loaded without a restart. */
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { describeError } from '../../files/explain.js';

export interface TlsFiles {
  /** Path of the certificate with its chain, PEM. */
  readonly cert: string;
  /** Path of its key, PEM. */
  readonly key: string;
}

/** The files cannot be used; the message says why. */
export class TlsError extends Error {
  override readonly name = 'TlsError';
}

/** @throws TlsError if a file cannot be read, or certificate and key do not belong together. */
export async function readTls({ cert, key }: TlsFiles): Promise<{ cert: Buffer; key: Buffer }> {
  try {
    const pair = { cert: await readFile(cert), key: await readFile(key) };
    createSecureContext(pair);
    return pair;
  } catch (error) {
    throw new TlsError(
      `certificate ${cert} and key ${key} cannot be used: ${describeError(error)}; pass two PEM files that belong together`,
    );
  }
}

/** How often the files are checked for changes. */
const watchEveryMs = 5000;

/**
 * Follows the files, so that a renewed certificate needs no restart.
 * @param onChange receives the new pair, or what is wrong with it.
 * @returns a function that stops it.
 */
export function followTls(
  files: TlsFiles,
  onChange: (change: { cert: Buffer; key: Buffer } | Error) => void,
): () => void {
  const look = (): void => {
    readTls(files).then(onChange, onChange);
  };
  const paths = [files.cert, files.key];
  for (const path of paths) watchFile(path, { interval: watchEveryMs, persistent: false }, look);
  return () => {
    for (const path of paths) unwatchFile(path, look);
  };
}
