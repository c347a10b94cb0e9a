/**
 * Self-tests of detectors that nobody has asked for yet. What is damaged is known soon after the start and not at the
 * first part that is to be scored, and no first answer waits for a self-test.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { RepositoryLog } from './loader.js';
import type { DetectorRepository } from './repository.js';

/** How often it is asked whether others have work. */
const askEveryMs = 50;

/**
 * One after another, while there is no other work, and never more than half of the time.
 * @param isIdle whether nothing is being scored.
 * @returns what ends it.
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
      await repository.verify(name);
      await pause(performance.now() - began);
    }
  })().catch((error: Error) => {
    if (!signal.aborted)
      log.error({ reason: error.message }, 'the other detectors are verified when first used');
  });
  return () => stopped.abort();
}
