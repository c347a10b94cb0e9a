/** What the repository refuses, and how errors of other origin become such refusals. */
import { DetectorError } from '../detector/index.js';

/** By kind: whoever serves it says it in the words of his protocol. */
export type RepositoryErrorKind =
  /** There is no detector, or no version of it, of this name. */
  | 'unknown-detector'
  | 'unknown-version'
  /** The upload is no archive of a detector, or its detector does not pass. */
  | 'refused-detector'
  | 'too-many-bytes'
  /** Not while the version is the current one, or there is nothing to go back to. */
  | 'conflict'
  /** The folder of detectors cannot be written. */
  | 'read-only';

export class RepositoryError extends Error {
  override readonly name = 'RepositoryError';

  constructor(
    readonly kind: RepositoryErrorKind,
    message: string,
  ) {
    super(message);
  }
}

/** @param hidden a folder that nobody is to know of. */
export function asRefused(error: unknown, hidden?: string): never {
  if (!(error instanceof DetectorError)) throw error;
  const message = hidden
    ? error.message.replaceAll(`${hidden}/`, '').replaceAll(hidden, 'it')
    : error.message;
  throw new RepositoryError('refused-detector', message);
}

/** Does what writes into the folder of detectors. @throws RepositoryError `read-only` where that is not allowed. */
export async function writing<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error;
    throw new RepositoryError(
      'read-only',
      'the folder of detectors cannot be written by the service; name one that can with --detectors',
    );
  }
}
