/** What jobs may take, and what is said if they cannot. */

export interface JobLimits {
  /** Photos of one job. */
  readonly maxPhotos: number;
  /** Bytes of the photos of all jobs that have not ended. */
  readonly maxBytes: number;
  /** Jobs that have ended and are still listed. */
  readonly maxEnded: number;
  /** After this time a job that was never started is removed. */
  readonly collectMs: number;
}

export const defaultJobLimits: JobLimits = {
  maxPhotos: 10_000,
  maxBytes: 8 * 2 ** 30,
  maxEnded: 50,
  collectMs: 24 * 3_600_000,
};

/** A job cannot do what was asked; the message says why, and what would be right. */
export class JobError extends Error {
  override readonly name = 'JobError';

  constructor(
    readonly kind: 'unknown-job' | 'conflict' | 'too-many-bytes' | 'too-many-parts' | 'bad-request',
    message: string,
  ) {
    super(message);
  }
}
