/** Reasons why a valid image was not scored. */
import type { Deadline } from './deadline.js';

export type ScoringErrorKind =
  /** Too many images wait for the detector. */
  | 'queue-full'
  /** The time was up before the image was scored. */
  | 'deadline'
  /** The client disconnected. */
  | 'client-gone'
  /** The service is stopping. */
  | 'stopping'
  /** The inference worker failed twice on this image. */
  | 'worker-lost';

export class ScoringError extends Error {
  override readonly name = 'ScoringError';

  constructor(
    readonly kind: ScoringErrorKind,
    message: string,
    /** When to try again. */
    readonly retryAfterSeconds?: number,
  ) {
    super(message);
  }
}

/** @param retryAfterSeconds estimated time until the waiting work is done. */
export function deadlineError({ signal, timeoutMs }: Deadline, retryAfterSeconds?: number): ScoringError {
  return signal?.aborted
    ? new ScoringError('client-gone', 'the client disconnected before its image was scored')
    : new ScoringError('deadline', `the image was not scored within ${timeoutMs} ms`, retryAfterSeconds);
}
