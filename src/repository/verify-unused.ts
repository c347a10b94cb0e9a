/**
 * Runs the self-tests of detectors that have not been used yet. Damage is found soon after the start and not with the
 * first image, and the first request does not wait for a self-test.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { RepositoryLog } from './loader.js';
import type { DetectorRepository } from './repository.js';

/** How often to check whether the service is idle. */
const askEveryMs = 50;

/**
 * Verifies one detector after another while there is no other work, for at most half of the time.
 * @param isIdle whether nothing is being scored.
 * @returns a function that stops it.
 */
export function verifyUnused(
  repository: DetectorRepository,
  isIdle: () => boolean,
  log: RepositoryLog,
): () => void {
  const stopped = new AbortController();
  const { signal } = stopped;
  const pause = (ms: number): Promise<void> => wait(ms, undefined, { signal, ref: false });
  void (async () => {
    for (const name of repository.unverified()) {
      do await pause(askEveryMs);
      while (!isIdle());
      const began = performance.now();
      await repository.verify(name).catch((error: Error) => {
        if (signal.aborted) return;
        log.error({ detector: name, reason: error.message }, 'detector not verified; it is when first used');
      });
      await pause(performance.now() - began);
    }
  })().catch((error: Error) => {
    if (!signal.aborted)
      log.error({ reason: error.message }, 'the other detectors are verified when first used');
  });
  return () => stopped.abort();
}
