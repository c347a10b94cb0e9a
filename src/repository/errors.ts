/** Errors of the repository, and how other errors are converted to them. */
import { DetectorError } from '../detector/index.js';

/** Each protocol maps the kinds to its own errors. */
export type RepositoryErrorKind =
  /** No detector, or no version of it, has this name. */
  | 'unknown-detector'
  | 'unknown-version'
  /** The upload is not an archive of a detector, or its detector fails the checks. */
  | 'refused-detector'
  | 'too-many-bytes'
  /** The version is the current one, or there is no earlier version to roll back to. */
  | 'conflict'
  /** The folder of detectors cannot be written. */
  | 'read-only'
  /** Its disk is full. */
  | 'disk-full';

export class RepositoryError extends Error {
  override readonly name = 'RepositoryError';

  constructor(
    readonly kind: RepositoryErrorKind,
    message: string,
  ) {
    super(message);
  }
}

/** @param hidden a folder that the message must not show. */
export function rethrowAsRefused(error: unknown, hidden?: string): never {
  if (!(error instanceof DetectorError)) throw error;
  const message = hidden
    ? error.message.replaceAll(`${hidden}/`, '').replaceAll(hidden, 'it')
    : error.message;
  throw new RepositoryError('refused-detector', message);
}

/** Runs work that writes to the folder of detectors. @throws RepositoryError `read-only`, `disk-full` */
export async function withWriteErrors<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new RepositoryError(
        'disk-full',
        'the disk with the folder of detectors is full; make room on it',
      );
    }
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error;
    throw new RepositoryError(
      'read-only',
      'the service cannot write to the folder of detectors; pass a writable one with --detectors',
    );
  }
}
