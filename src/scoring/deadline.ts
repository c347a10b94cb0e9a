/** Until when the result of a request is needed. */
import { systemClock } from '../batching/index.js';

export interface Deadline {
  /** Aborted when the client disconnects. */
  readonly signal?: AbortSignal | undefined;
  /** When the time is up, in milliseconds of {@link systemClock}. */
  readonly atMs: number;
  /** Total time, for messages. */
  readonly timeoutMs: number;
}

/** For callers without a timeout. */
export const noDeadline: Deadline = {
  atMs: Number.POSITIVE_INFINITY,
  timeoutMs: Number.POSITIVE_INFINITY,
};

/** Returns a signal that aborts when the client disconnects or the time is up; undefined if neither can happen. */
export function endOf({ signal, atMs }: Deadline): AbortSignal | undefined {
  if (!Number.isFinite(atMs)) return signal;
  const late = AbortSignal.timeout(Math.max(0, Math.ceil(atMs - systemClock.now())));
  return signal ? AbortSignal.any([signal, late]) : late;
}
