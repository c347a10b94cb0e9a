/** What the repository refuses, by kind: whoever serves it says it in the words of his protocol. */
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
