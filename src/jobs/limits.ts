/** What jobs may take, and what is said if they cannot. */
import type { Job } from './job.js';
import { hasEnded } from './states.js';

export interface JobLimits {
  /** Photos of one job. */
  readonly maxPhotos: number;
  /** Bytes of the photos of all jobs that have not ended. */
  readonly maxBytes: number;
  /** Jobs that have ended and are still listed. */
  readonly maxEnded: number;
  /** After this time a job that was never started is removed. */
  readonly collectMs: number;
  /** How often jobs are looked for that another service on the same disk has left. */
  readonly adoptEveryMs: number;
}

/** Returns the jobs that nobody started, and the oldest of those that have ended. @param jobs the newest first. */
export function tooOld(jobs: readonly Job[], { collectMs, maxEnded }: JobLimits): Job[] {
  const isStale = ({ state, created }: Job): boolean =>
    state === 'collecting' && Date.now() - Date.parse(created) > collectMs;
  return [...jobs.filter(isStale), ...jobs.filter(hasEnded).slice(maxEnded)];
}

export const defaultJobLimits: JobLimits = {
  maxPhotos: 10_000,
  maxBytes: 8 * 2 ** 30,
  maxEnded: 50,
  collectMs: 24 * 3_600_000,
  adoptEveryMs: 5000,
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
